"""Trials of `ecgfl simulate`: a strategy, and options for it.

A trial is written as NAME or NAME:OPTION=VALUE,OPTION=VALUE.
"""

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
    """A strategy with its options.

    Attributes
    ----------
    name
        The trial as it was written.
    plan
        Plan of its run.
    """

    name: str
    plan: RunPlan

    @property
    def file_name(self) -> str:
        """The name with only the characters that every file system accepts."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.name)


def trial(
    text: str, options: Mapping[str, Any], origins: Mapping[str, str], from_scratch: bool = False
) -> Trial:
    """Return the trial for a value of --strategy.

    Parameters
    ----------
    text
        The value.
    options
        Options of the plan beyond those of the strategy.
    origins
        Field of the plan -> where its value comes from, for messages.
    from_scratch
        Whether the run starts from random weights.

    Raises
    ------
    UsageError
        If the strategy or an option of it is invalid.
    """
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
    """Raise `UsageError` for trials that would write to the same file."""
    names = [trial.file_name for trial in trials]
    if same := [trial.name for trial in trials if names.count(trial.file_name) > 1]:
        raise UsageError(
            f"--strategy {' and --strategy '.join(same)}: these would write to the same file",
            "Give each strategy only once; numbers that are equal count as the same",
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
            f"--strategy {text}: {part!r} is not an option with a number",
            f"The options are {names} (example: fedprox:proximal-mu=0.1)",
        ) from error
