"""Read and write federation.toml, the plan of a coordinator's runs.

Options of `serve` override it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.bounds import LARGEST_EPOCHS, LARGEST_LEARNING_RATE, MOST_EXAMPLES
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan, option_of
from ecgfl_cli.federation.coordinator.runs.strategy_options import OPTIONS, STRATEGY_NAMES
from ecgfl_cli.federation.secagg.agreement import LARGEST_WEIGHT
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.architecture import DEFAULT, architecture, names
from ecgfl_cli.models.manifest import LARGEST_NUMBER
from ecgfl_cli.schemas import first_fault
from ecgfl_cli.site.hours import Hours
from ecgfl_cli.site.privacy_policy import PrivacyDemand
from ecgfl_cli.site.settings import SITE_NAME, Section, load_toml
from ecgfl_cli.times import seconds_of

OPTION_OF_ARCHITECTURE = "--arch"


def _is_duration(text: str) -> str:
    if not seconds_of(text):
        raise ValueError("the duration must be longer than 0")
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
    """The section [run]. Its fields have the names of the options of `serve`.

    `strategy_options` checks the options of a strategy.
    """

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
    """Largest norm of an update, as a multiple of the median.

    Measured: four sites of mitdb with 1,250 to 8,800 training beats made updates of 0.7 to 2.2
    times the median, over three rounds of either network. The norm grows about as the square root
    of the number of beats, so ten times the median is a hospital that is a hundred times as large.
    """
    max_weight_ratio: Annotated[float, Field(ge=1)] = 3.0
    """Largest weight of a site, as a multiple of the median.

    Among four sites of equal size, a site that claims any number of beats has at most half of the
    mean. A hospital of three times the usual size keeps its full weight.
    """
    max_examples: Examples = 10_000_000
    """Largest number of beats that a site may report: a hundred Holter days of 100,000 beats."""
    secagg: bool = False
    """Secure aggregation: the coordinator learns only the sum of the sites' updates."""


class Declared(Section):
    """A section [sites.NAME]: what the coordinator knows about a site.

    Attributes
    ----------
    max_examples
        Largest number of training beats, and of held-out beats, that the site may report.
    weight
        Weight of the site in the mean of a run with secure aggregation.
    """

    max_examples: Examples | None = None
    weight: Annotated[int, Field(ge=1, le=LARGEST_WEIGHT)] = 1


class PlanFile(Section):
    """The content of federation.toml.

    Attributes
    ----------
    run
        The section [run].
    sites
        Sites that may take part; None for all enrolled sites.
    privacy
        The section [privacy]: least protection by differential privacy that the sites are asked
        for; None to leave it to them.
    """

    run: Run = Run()
    sites: dict[Annotated[str, Field(pattern=SITE_NAME)], Declared] | None = None
    privacy: PrivacyDemand | None = None


def load_plan(path: Path) -> PlanFile:
    """Read and check federation.toml. Return the defaults if there is no such file.

    Raises
    ------
    UsageError
        The file is not valid; the message names the file, the field and the value.
    """
    try:
        return load_toml(path, PlanFile)
    except FileNotFoundError:
        return PlanFile()


def resolve(path: Path | None, options: Mapping[str, Any]) -> RunPlan:
    """Return the plan of a run from federation.toml and the options of `serve`.

    Parameters
    ----------
    path
        The file; None for no file.
    options
        Values of the options by their names in `Run`. They override the file. None is an option
        that was not given.

    Raises
    ------
    UsageError
        The file or an option is not valid.
    """
    file = PlanFile() if path is None else load_plan(path)
    given = {name: value for name, value in options.items() if value is not None}
    from_file = {name: getattr(file.run, name) for name in file.run.model_fields_set}
    if given.get("strategy", file.run.strategy) != file.run.strategy:
        # The strategy options in the file belong to the strategy in the file.
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
    network = architecture(run.architecture)
    rate = network.learning_rate if run.learning_rate is None else run.learning_rate
    origins = {name: f"{path}: run.{name}" for name in from_file.keys() - given.keys()}
    return RunPlan(
        architecture=run.architecture,
        strategy=run.strategy,
        rounds=run.rounds,
        min_sites=run.min_sites,
        local_epochs=run.local_epochs or network.local_epochs,
        learning_rate=rate,
        last_learning_rate=rate * network.last_learning_rate / network.learning_rate,
        batch_size=network.batch_size,
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
        secagg=run.secagg,
        weights={name: site.weight for name, site in (file.sites or {}).items()},
        privacy=file.privacy,
        origins={**origins, "sites": f"{path}: sites"},
    )


def values_in_words(plan: RunPlan, path: Path) -> str:
    """Return a line with the values of a plan, for the person who starts a run.

    Parameters
    ----------
    plan
        Plan of the run.
    path
        Path of federation.toml, which may be missing.
    """
    quorum = (
        "without a time limit"
        if plan.quorum_timeout is None
        else f"within {plan.quorum_timeout:g} s"
    )
    values = [
        f"{plan.rounds} rounds of {plan.strategy} with {plan.architecture}",
        f"{plan.local_epochs} local epochs",
        f"learning rate {plan.learning_rate:g}",
        f"at least {plan.min_sites} sites {quorum}",
        f"{plan.phase_timeout:g} s per phase",
        "secure aggregation" if plan.secagg else "no secure aggregation",
        "rounds at any hour" if plan.hours is None else f"rounds begin {plan.hours}",
        "all enrolled sites" if plan.sites is None else f"sites {', '.join(sorted(plan.sites))}",
        *([] if plan.privacy is None else [f"differential privacy, {plan.privacy.in_words()}"]),
    ]
    source = path if path.is_file() else f"no {path.name}"
    return f"plan: {'; '.join(values)} ({source}; options override it)"


def write_plan(path: Path) -> None:
    """Write a new federation.toml with the default values."""
    run = Run()
    atomic_write_bytes(
        path, _TEMPLATE.format(run=run, strategies=", ".join(STRATEGY_NAMES)).encode()
    )


def _option(name: str) -> str:
    return OPTION_OF_ARCHITECTURE if name == "architecture" else option_of(name)


_TEMPLATE = """\
# The plan of this federation's runs. Edit it by hand; it is checked when it is used.
# Each line of [run] is also an option of `ecgfl coordinator serve`, which overrides it.

[run]
rounds = {run.rounds}
# Number of sites that must take part in every round (the quorum), and the time limit for them to
# connect. Without the second line there is no limit.
min_sites = {run.min_sites}
# quorum_timeout = "12h"
# Time limit for each training or evaluation.
phase_timeout = "{run.phase_timeout}"
# Hours of the day in which a round may begin, in this machine's local time.
# hours = "22:00-06:00"

# beatnet or ecgnet. Without the next two lines, the network's own values are used.
architecture = "{run.architecture}"
# local_epochs = 3
# learning_rate = 0.001
seed = {run.seed}

# How the weights of the sites are combined: {strategies}.
strategy = "{run.strategy}"
# proximal_mu = 0.01            # fedprox
# server_learning_rate = 0.01   # fedadam, fedyogi
# trimmed_share = 0.2           # trimmed-mean: left out at each end
# malicious_sites = 1           # krum; needs 2 x this + 3 sites

# A site's update is left out if its norm is more than this multiple of the round's median.
max_update_ratio = {run.max_update_ratio:g}
# Largest weight of a site in a mean (fedavg, fedprox, fedadam, fedyogi), as a multiple of the
# median number of beats.
max_weight_ratio = {run.max_weight_ratio:g}
# A site's reply is left out if it reports more training or held-out beats than this.
max_examples = {run.max_examples}
# Secure aggregation: the coordinator learns only the sum of the sites' updates. The policy of each
# site must require it and name the other sites.
secagg = false

# With this section, only sites that train with differential privacy take part. Each uses the
# stricter of its own policy and these values. A line that is left out is up to the sites.
# [privacy]
# noise_multiplier = 4.0        # at least
# sampling = 0.5                # at most, like the next two
# steps = 4
# max_grad_norm = 1.0
# trained = "last-layer"        # or a smaller part: last-layer, head, all

# If there is such a section, only the sites with a section take part; the others stay enrolled.
# [sites.st-mary]
# max_examples = 250000
# weight = 1                    # in the mean of a run with secure aggregation
"""
