"""federation.toml: what a coordinator wants of its runs. Options of `serve` go before what stands there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.bounds import LARGEST_EPOCHS, LARGEST_LEARNING_RATE, MOST_EXAMPLES
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan, option_of
from ecgfl_cli.federation.coordinator.runs.strategy_options import OPTIONS, STRATEGY_NAMES
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.architecture import DEFAULT, architecture, names
from ecgfl_cli.models.manifest import LARGEST_NUMBER
from ecgfl_cli.schemas import first_fault
from ecgfl_cli.site.hours import Hours
from ecgfl_cli.site.settings import SITE_NAME, Section, load_toml
from ecgfl_cli.times import seconds_of

OPTION_OF_ARCHITECTURE = "--arch"


def _is_duration(text: str) -> str:
    if not seconds_of(text):
        raise ValueError("no time at all")
    return text


def _is_hours(text: str) -> str:
    Hours.read(text)
    return text


def _is_strategy(name: str) -> str:
    if name not in STRATEGY_NAMES:
        raise ValueError(f"choose one of {', '.join(STRATEGY_NAMES)}")
    return name


def _is_architecture(name: str) -> str:
    if name not in names():
        raise ValueError(f"choose one of {', '.join(names())}")
    return name


Duration = Annotated[str, AfterValidator(_is_duration)]
Examples = Annotated[int, Field(ge=1, le=MOST_EXAMPLES)]


class Run(Section):
    """Named as the options of `serve`; bounds of a strategy's own options are in `strategy_options`."""

    rounds: Annotated[int, Field(ge=1, le=LARGEST_NUMBER)] = 5
    min_sites: Annotated[int, Field(ge=2)] = 2
    strategy: Annotated[str, AfterValidator(_is_strategy)] = "fedavg"
    architecture: Annotated[str, AfterValidator(_is_architecture)] = DEFAULT
    local_epochs: Annotated[int, Field(ge=1, le=LARGEST_EPOCHS)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=LARGEST_LEARNING_RATE)] | None = None
    seed: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    quorum_timeout: Duration | None = None
    phase_timeout: Duration = "1h"
    hours: Annotated[str, AfterValidator(_is_hours)] | None = None
    proximal_mu: float | None = None
    server_learning_rate: Annotated[float, Field(gt=0)] | None = None
    trimmed_share: float | None = None
    malicious_sites: int | None = None
    max_update_ratio: Annotated[float, Field(ge=1)] = 10.0
    """Four sites of mitdb with 1,250 to 8,800 training beats made updates of 0.7 to 2.2 times the median, over three rounds of
    either network. The norm grows about as the square root of the beats: ten times the median is a hospital a hundred times as
    large."""
    max_weight_ratio: Annotated[float, Field(ge=1)] = 3.0
    """Among four sites of equal size, one that claims any number of beats has at most half of a mean. A hospital of three times
    the usual size keeps its full weight."""
    max_examples: Examples = 10_000_000
    """A hundred Holter days of 100,000 beats."""


class Declared(Section):
    """What a site has declared. max_examples : most training beats, and most held-out beats, that it may report."""

    max_examples: Examples | None = None


class PlanFile(Section):
    """sites : those that may take part; None for all that are enrolled."""

    run: Run = Run()
    sites: dict[Annotated[str, Field(pattern=SITE_NAME)], Declared] | None = None


def load_plan(path: Path) -> PlanFile:
    """Read and check federation.toml; the defaults where there is none. Raises `UsageError` naming file, field and value."""
    try:
        return load_toml(path, PlanFile)
    except FileNotFoundError:
        return PlanFile()


def resolve(path: Path | None, options: Mapping[str, Any]) -> RunPlan:
    """The plan of a run: federation.toml at `path` (None for none), and over it the given options, by their names in `Run`.

    An option that is None was not given. Raises `UsageError`.
    """
    file = PlanFile() if path is None else load_plan(path)
    given = {name: value for name, value in options.items() if value is not None}
    from_file = {name: getattr(file.run, name) for name in file.run.model_fields_set}
    if given.get("strategy", file.run.strategy) != file.run.strategy:
        # They belong to the strategy that stands beside them.
        from_file = {
            name: value
            for name, value in from_file.items()
            if name not in {option.field for option in OPTIONS}
        }
    try:
        run = Run.model_validate({**from_file, **given})
    except ValidationError as error:
        fault = first_fault(error)
        name = str(fault.location[0])
        raise UsageError(
            f"{_option(name)} {fault.value}: {fault.reason}",
            "See `ecgfl coordinator serve --help`",
        ) from error
    wanted = architecture(run.architecture)
    rate = wanted.learning_rate if run.learning_rate is None else run.learning_rate
    origins = {name: f"{path}: run.{name}" for name in from_file.keys() - given.keys()}
    return RunPlan(
        architecture=run.architecture,
        strategy=run.strategy,
        rounds=run.rounds,
        min_sites=run.min_sites,
        local_epochs=run.local_epochs or wanted.local_epochs,
        learning_rate=rate,
        last_learning_rate=rate * wanted.last_learning_rate / wanted.learning_rate,
        batch_size=wanted.batch_size,
        seed=run.seed,
        phase_timeout=seconds_of(run.phase_timeout),
        proximal_mu=run.proximal_mu,
        server_learning_rate=run.server_learning_rate,
        trimmed_share=run.trimmed_share,
        malicious_sites=run.malicious_sites,
        quorum_timeout=None if run.quorum_timeout is None else seconds_of(run.quorum_timeout),
        hours=None if run.hours is None else Hours.read(run.hours),
        max_update_ratio=run.max_update_ratio,
        max_weight_ratio=run.max_weight_ratio,
        max_examples=run.max_examples,
        sites=None
        if file.sites is None
        else {name: site.max_examples for name, site in file.sites.items()},
        origins={**origins, "sites": f"{path}: sites"},
    )


def values_in_words(plan: RunPlan, path: Path) -> str:
    """What a run is done with, for the person who starts it."""
    quorum = (
        "whenever they come" if plan.quorum_timeout is None else f"within {plan.quorum_timeout:g} s"
    )
    words = [
        f"{plan.rounds} rounds of {plan.strategy} with {plan.architecture}",
        f"{plan.local_epochs} local epochs",
        f"learning rate {plan.learning_rate:g}",
        f"at least {plan.min_sites} sites {quorum}",
        f"{plan.phase_timeout:g} s a phase",
        "rounds at any hour" if plan.hours is None else f"rounds begin {plan.hours}",
        "all enrolled sites" if plan.sites is None else f"sites {', '.join(sorted(plan.sites))}",
    ]
    read = path.is_file()
    return f"plan: {'; '.join(words)} ({path if read else f'no {path.name}'}, options before it)"


def write_plan(path: Path) -> None:
    """Write a first federation.toml, in which everything is as without one."""
    run = Run()
    atomic_write_bytes(
        path, _TEMPLATE.format(run=run, strategies=", ".join(STRATEGY_NAMES)).encode()
    )


def _option(name: str) -> str:
    return OPTION_OF_ARCHITECTURE if name == "architecture" else option_of(name)


_TEMPLATE = """\
# The plan of this federation's runs. Edit by hand; it is checked whenever it is used.
# Every line of [run] is also an option of `ecgfl coordinator serve`, which goes before it.

[run]
rounds = {run.rounds}
# Sites that must take part in every round (the quorum), and how long they are waited for; without the second line for ever.
min_sites = {run.min_sites}
# quorum_timeout = "12h"
# For each training or measurement.
phase_timeout = "{run.phase_timeout}"
# Hours of the day in which a round may begin, in this machine's local time.
# hours = "22:00-06:00"

# beatnet or ecgnet; without the two lines below the network's own values.
architecture = "{run.architecture}"
# local_epochs = 3
# learning_rate = 0.001
seed = {run.seed}

# How the sites' weights become one model: {strategies}.
strategy = "{run.strategy}"
# proximal_mu = 0.01            # fedprox
# server_learning_rate = 0.01   # fedadam, fedyogi
# trimmed_share = 0.2           # trimmed-mean: left out at each end
# malicious_sites = 1           # krum; needs 2 x this + 3 sites

# A site's update is left out when its norm is more than this many times the median of the round's updates.
max_update_ratio = {run.max_update_ratio:g}
# In a mean (fedavg, fedprox, fedadam, fedyogi), a site's weight is at most this many times the median of the sites' beats.
max_weight_ratio = {run.max_weight_ratio:g}
# A site's reply is left out when it reports more training or held-out beats than this.
max_examples = {run.max_examples}

# With one such section or more, only the sites that are named take part; the others stay enrolled.
# [sites.st-mary]
# max_examples = 250000
"""
