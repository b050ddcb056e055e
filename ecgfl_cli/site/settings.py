"""site.toml: the site's name, its policy and how it reads its files."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from ecgfl_adapters.bounded import read_bounded
from ecgfl_adapters.symbols import BEAT_SYMBOLS, OTHER_SYMBOLS
from ecgfl_adapters.tables.layout import CsvLayout
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from ecgfl_cli.errors import UsageError
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.schemas import StrictModel, faults
from ecgfl_cli.site.policy import METRICS, Policy
from ecgfl_cli.site.toml_errors import settings_error

LARGEST_TOML = 1 << 20
"""Largest size of a settings file in bytes."""

SITE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"

Settings = TypeVar("Settings", bound=BaseModel)


class Section(StrictModel):
    """A table of a settings file."""


class Site(Section):
    """Table `site`."""

    name: Annotated[str, Field(pattern=SITE_NAME)]


class Recordings(Section):
    """Table `recordings`: how recordings are read, and what of the patient is stored."""

    lead: str | None = None
    """Lead that is read; None for lead II if there is one, else the first."""
    ecg_channels: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    """Shell patterns of further names of ECG channels."""
    keep_age_band: bool = False
    keep_sex: bool = False
    """Whether age band and sex are stored. Nothing else about the patient is ever stored."""


def _known_symbol(symbol: str) -> str:
    if symbol not in BEAT_SYMBOLS | OTHER_SYMBOLS:
        raise ValueError(
            f"not a WFDB annotation symbol; those of beats are {' '.join(sorted(BEAT_SYMBOLS))}"
        )
    return symbol


class Models(Section):
    """Table `models`."""

    keep: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Number of versions that stay in the registry for a rollback."""


class SiteSettings(Section):
    """The settings of a site.

    Attributes
    ----------
    site, recordings, policy, models
        Tables of these names.
    vocabulary : dict of str to str
        Word for a beat in annotations -> WFDB symbol.
    limits : dict of str to object
        Name of a limit -> value; `quality.limits` checks them.
    csv : list of CsvLayout
        Layouts of tables of numbers.
    """

    site: Site
    recordings: Recordings = Recordings()
    vocabulary: dict[str, Annotated[str, AfterValidator(_known_symbol)]] = Field(
        default_factory=dict
    )
    limits: dict[str, Any] = Field(default_factory=dict)
    csv: list[CsvLayout] = Field(default_factory=list)
    policy: Policy = Policy()
    models: Models = Models()


def load_settings(path: Path) -> SiteSettings:
    """Read and check site.toml. Raise `UsageError` with every error; see `load_toml`."""
    return load_toml(path, SiteSettings)


def load_toml(path: Path, schema: type[Settings]) -> Settings:
    """Read and check a settings file in TOML.

    Parameters
    ----------
    path : Path
        The file.
    schema : type
        Pydantic model of the file.

    Raises
    ------
    UsageError
        The file is invalid. The message has the line, field and value of every error.
    """
    try:
        return schema.model_validate(
            tomllib.loads(
                read_bounded(path, LARGEST_TOML).decode("utf-8-sig").replace("\r\n", "\n")
            )
        )
    except ValidationError as error:
        raise settings_error(path, schema, faults(error)) from error
    except (ValueError, RecursionError) as error:  # also a huge number or very deep nesting
        raise UsageError(f"{path}: not valid TOML: {error}", "Correct that line") from error


def write_settings(path: Path, site: str) -> None:
    """Write the first site.toml.

    Parameters
    ----------
    path : Path
        The file.
    site : str
        Name of the site, which must match `SITE_NAME`.
    """
    policy = Policy()
    metrics, architectures = (
        ", ".join(f'"{name}"' for name in names) for names in (METRICS, policy.architectures)
    )
    text = _TEMPLATE.format(
        name=site,
        policy=policy,
        models=Models(),
        metrics=metrics,
        architectures=architectures,
        from_scratch=str(policy.from_scratch).lower(),
    )
    atomic_write_bytes(path, text.encode())


_TEMPLATE = """\
# Settings of this site. Edit them by hand; every command that uses them checks them.

[site]
name = "{name}"

[recordings]
# The lead to read. Default: lead II if there is one, else the first.
# lead = "MLII"
# Further names of ECG channels, besides the usual ones (ECG, II, MLII, V5 ...); "*" matches any
# text.
# ecg_channels = ["Kanal *"]
# What is stored about a patient. Names, identifiers and dates are never stored.
keep_age_band = false
keep_sex = false

# Further words for beats in annotations, besides the usual ones (PVC, VES, ventricular ...), each
# with its WFDB symbol.
[vocabulary]
# "Extrasystole" = "V"

# Layout of a recorder's tables of numbers; `ecgfl ingest --explain FILE` writes such a block.
# [[csv]]
# files = "*.holter.csv"
# units = "uV"

# Limits of the checks that replace the built-in ones; docs/hospital.md lists them.
[limits]
# min_seconds = 30

[policy]
# What a coordinator may ask for; anything else is refused. docs/hospital.md explains each setting.
architectures = [{architectures}]
# Public signing keys of accepted coordinators. Default: the one in federation.json.
# coordinators = ["..."]
max_rounds = {policy.max_rounds}
# In any 24 hours.
max_rounds_a_day = {policy.max_rounds_a_day}
# Measurements of models on the held-out patients, in a run and in any 24 hours. Default: ten more
# than the rounds.
# max_measurements = {policy.max_measurements}
# max_measurements_a_day = {policy.max_measurements_a_day}
# How many more measurements than trainings this site answers in any 24 hours.
max_untrained_measurements = {policy.max_untrained_measurements}
# How a round is trained. With few steps of the optimiser, or few beats in a step, an update reveals
# much about each beat.
max_local_epochs = {policy.max_local_epochs}
min_learning_rate = {policy.min_learning_rate}
max_learning_rate = {policy.max_learning_rate}
min_steps = {policy.min_steps}
min_batch_size = {policy.min_batch_size}
max_batch_size = {policy.max_batch_size}
max_proximal_mu = {policy.max_proximal_mu}
# Minimum amounts to train on, without the held-out patients.
min_training_recordings = {policy.min_training_recordings}
min_training_patients = {policy.min_training_patients}
min_training_pvcs = {policy.min_training_pvcs}
min_training_beats = {policy.min_training_beats}
# Minimum numbers of held-out patients, of their beats and of their PVCs. With fewer, no figure
# about them leaves.
min_held_out_patients = {policy.min_held_out_patients}
min_held_out_beats = {policy.min_held_out_beats}
min_held_out_pvcs = {policy.min_held_out_pvcs}
# A model is refused if its loss on the held-out patients is above this multiple of the current
# model's.
max_loss_ratio = {policy.max_loss_ratio}
# Whether a run may start from random weights (`ecgfl coordinator serve --from-scratch`).
from_scratch = {from_scratch}
# Hours of the day in which this site trains and measures, in local time. Default: any.
# hours = "22:00-06:00"
# Figures that may leave together with the number of beats; remove those that must stay.
metrics = [{metrics}]
# A new model is rejected if its F1 (0 to 1) on this site's held-out patients is lower by more than
# this than that of the best model accepted so far, or if it is worse with 95 % confidence. 1.0
# accepts every model.
acceptance_margin = {policy.acceptance_margin}
# Processor threads for training, and its niceness (0 to 19; not on Windows).
cpu_threads = {policy.cpu_threads}
niceness = {policy.niceness}
# "required": this site's updates leave only masked, and the coordinator learns their sum with those
# of the peers. Needs the SHA-256 of the peers' node keys, as `ecgfl doctor` shows it there.
secagg = "{policy.secagg}"
# peers = ["<SHA-256 of the node key of another site>", "<and of a third>"]

# Differential privacy: without this table there is none. docs/hospital.md explains each setting.
# [policy.dp]
# unit = "patient"
# epsilon = 8.0
# delta = 1e-5
# noise_multiplier = 4.0
# sampling = 0.5
# steps = 4
# max_grad_norm = 1.0
# trained = "last-layer"

[models]
# Number of versions that are kept for `ecgfl model use`.
keep = {models.keep}
"""
