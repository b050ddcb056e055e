"""What `ecgfl simulate` tries: a strategy with its own options, written as NAME or NAME:OPTION=VALUE,OPTION=VALUE."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.coordinator.runs.plan_file import resolve
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan
from ecgfl_cli.federation.coordinator.runs.strategy_options import (
    OPTIONS,
    STRATEGY_NAMES,
    check_strategy,
)


@dataclass(frozen=True)
class Trial:
    """name : as it was written."""

    name: str
    plan: RunPlan

    @property
    def file_name(self) -> str:
        """The name as every file system takes it."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.name)


def trial(
    text: str, options: Mapping[str, Any], origins: Mapping[str, str], from_scratch: bool = False
) -> Trial:
    """options : of the plan beside the strategy's own; origins : where they stand, for messages. Raises `UsageError`."""
    strategy, _, own = text.partition(":")
    if strategy not in STRATEGY_NAMES:
        raise UsageError(
            f"--strategy {strategy}: no such strategy",
            f"Choose one of: {', '.join(STRATEGY_NAMES)}",
        )
    numbers = dict(_number(text, each) for each in own.split(",")) if own else {}
    plan = resolve(None, {**options, "strategy": strategy, **numbers})
    plan = replace(
        plan,
        from_scratch=from_scratch,
        origins={
            **origins,
            **{name: f"--strategy {text}: {name.replace('_', '-')}" for name in numbers},
        },
    )
    check_strategy(plan)
    return Trial(text, plan)


def require_different(trials: Sequence[Trial]) -> None:
    """Raises `UsageError` for two of which one would go on where the other ended."""
    names = [each.file_name for each in trials]
    if same := [each.name for each in trials if names.count(each.file_name) > 1]:
        raise UsageError(
            f"--strategy {' and --strategy '.join(same)}: written alike",
            "Write them more differently, or try one",
        )


def _number(text: str, part: str) -> tuple[str, float]:
    known = {option.field: option for option in OPTIONS}
    name, _, value = part.partition("=")
    field = name.strip().replace("-", "_")
    try:
        if field not in known:
            raise ValueError
        number = float(value)
        return field, int(number) if number.is_integer() else number
    except ValueError as error:
        names = ", ".join(name.replace("_", "-") for name in known)
        raise UsageError(
            f"--strategy {text}: {part!r} is no option with a number",
            f"The options are {names}; for instance fedprox:proximal-mu=0.1",
        ) from error
