"""[policy] of site.toml: what a coordinator may ask of this site.

Everything else is refused with exit code 5.
"""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from ecgfl_cli.errors import PolicyRefused
from ecgfl_cli.schemas import StrictModel
from ecgfl_cli.site.hours import Hours
from ecgfl_cli.site.privacy_policy import PrivacyDemand, PrivacyPolicy

NICEST = 19
LARGEST_NUMBER = 1_000_000_000
MOST_THREADS = 4096

Metric = Literal[
    "pvcs",
    "loss",
    "true_positives",
    "false_positives",
    "sensitivity",
    "precision",
    "others_by_logit",
    "pvcs_by_logit",
    "verdict",
]
METRICS: tuple[Metric, ...] = get_args(Metric)
"""Metrics of a reply that a site may withhold. The number of examples is always sent, because it
weights the site's update.

verdict : the site's verdict on a run's final model.
"""


def _hours(text: str) -> str:
    Hours.read(text)
    return text


MORE_MEASUREMENTS = 10
"""How many more measurements than rounds are allowed by default. A site also measures the previous
run's model before the first round, and the models of rounds that it joined too late to train in."""

BETWEEN = {"max_learning_rate": "min_learning_rate", "max_batch_size": "min_batch_size"}

PositiveInt = Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]
NonNegativeInt = Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]
ShortText = Annotated[str, Field(max_length=64)]

MOST_PEERS = 1000
FEWEST_PEERS = 2
"""Smallest number of peers for secure aggregation: of two sites, each could subtract its update."""


def _fingerprint(text: str) -> str:
    """Check the SHA-256 of a key; colons and capitals, as other programs print it, are accepted."""
    plain = text.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise ValueError(
            "not the SHA-256 of a node key, 64 hexadecimal digits, as `ecgfl doctor` shows it"
        )
    return plain


PeerFingerprint = Annotated[str, Field(max_length=200), AfterValidator(_fingerprint)]


class Policy(StrictModel):
    """What a coordinator may ask for. `docs/hospital.md` gives the reason for each default.

    Attributes
    ----------
    architectures : list of str
        Networks that may be trained and used. `ecgnet` is not in the default: a coordinator can set
        its dense layers so that each unit responds to few beats, whose shapes then appear in the
        weights. `beatnet` normalises each beat and mixes it with others.
    coordinators : list of str
        Public signing keys as in federation.json. If empty, the key in federation.json is accepted.
    max_rounds, max_rounds_a_day : int
        Trainings in a run, and in any 24 hours.
    max_measurements, max_measurements_a_day : int
        Measurements of models on the held-out patients, in a run and in any 24 hours. A run
        measures once per round. If left out: ten more than the limits on rounds.
    max_untrained_measurements : int
        How many more measurements than answered trainings are allowed in any 24 hours.
    max_local_epochs : int
        Passes over the training beats in a round.
    min_learning_rate, max_learning_rate : float
        Of the optimiser. An update is a multiple of the learning rate; with a very small one, it
        reveals the gradient at a single point. The usual plans end at 1e-4.
    min_steps : int
        Steps of the optimiser in a round. The update of a step is a function of its batch.
        `beatnet` makes 16 steps with 1,000 beats.
    min_batch_size, max_batch_size : int
        Beats of a step. The usual plans have 128 and 256.
    max_proximal_mu : float
        Weight of FedProx's proximal term. Li et al. (MLSys 2020) try 0.001 to 1. A large value
        holds the weights where they are.
    min_training_* : int
        Minimum amounts to train on, without the held-out patients. With fewer than ten patients, an
        update reveals much about each.
    min_held_out_* : int
        Minimum numbers of held-out patients and of their beats and PVCs. With fewer, no figure
        about them leaves.
    max_loss_ratio : float
        A model is neither trained on nor measured if its loss on the held-out patients is above
        this multiple of the current model's. See `federation.site.loss_check`.
    from_scratch : bool
        Whether a run may start from random weights, whose loss is far above the current model's.
    hours : str or None
        Hours of the day in which this site trains and measures, in local time, for instance
        "22:00-06:00"; None for any. The model of a round in which this site has trained is also
        measured once outside these hours.
    metrics : list of str
        Figures that may leave.
    acceptance_margin : float
        A new model is rejected if its F1 on this site's held-out patients is lower by more than
        this than that of the best model accepted so far. From 0 to 1, where 1 accepts every model.
    cpu_threads : int
        Processor threads for training. The networks are so small that a second thread costs more
        than it brings.
    niceness : int
        Niceness of `join`. It has no effect on Windows.
    dp : PrivacyPolicy or None
        Differential privacy; None for none.
    secagg : {"off", "required"}
        Whether this site's updates leave only masked, so that the coordinator learns their sum with
        those of other sites. With "off", the site takes part only in runs without secure
        aggregation.
    peers : list of str
        SHA-256 of the public node keys of the other sites with which updates may be added up.
    """

    architectures: Annotated[list[ShortText], Field(max_length=100)] = Field(
        default_factory=lambda: ["beatnet"]
    )
    coordinators: Annotated[list[ShortText], Field(max_length=100)] = Field(default_factory=list)
    max_rounds: PositiveInt = 200
    max_rounds_a_day: PositiveInt = 200
    max_measurements: PositiveInt = 200 + MORE_MEASUREMENTS
    max_measurements_a_day: PositiveInt = 200 + MORE_MEASUREMENTS
    max_untrained_measurements: NonNegativeInt = MORE_MEASUREMENTS
    max_local_epochs: PositiveInt = 10
    min_learning_rate: Annotated[float, Field(ge=0)] = 1e-5
    max_learning_rate: Annotated[float, Field(gt=0)] = 0.01
    min_steps: PositiveInt = 8
    min_batch_size: PositiveInt = 16
    max_batch_size: PositiveInt = 1024
    max_proximal_mu: Annotated[float, Field(ge=0)] = 1.0
    min_training_recordings: PositiveInt = 1
    min_training_patients: PositiveInt = 10
    min_training_pvcs: NonNegativeInt = 0
    min_training_beats: PositiveInt = 1000
    min_held_out_patients: PositiveInt = 2
    min_held_out_beats: PositiveInt = 100
    min_held_out_pvcs: NonNegativeInt = 10
    max_loss_ratio: Annotated[float, Field(ge=1)] = 3.0
    from_scratch: bool = False
    hours: Annotated[str, AfterValidator(_hours)] | None = None
    metrics: Annotated[list[Metric], Field(max_length=len(METRICS))] = Field(
        default_factory=lambda: list(METRICS)
    )
    acceptance_margin: Annotated[float, Field(ge=0, le=1)] = 0.05
    cpu_threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] = 1
    niceness: Annotated[int, Field(ge=0, le=NICEST)] = 0
    dp: PrivacyPolicy | None = None
    secagg: Literal["off", "required"] = "off"
    peers: Annotated[list[PeerFingerprint], Field(max_length=MOST_PEERS)] = Field(
        default_factory=list
    )

    @model_validator(mode="before")
    @classmethod
    def _unset_bounds_follow(cls, values: Any) -> Any:
        """Derive limits that are left out from those given: old files keep their meaning."""
        if not isinstance(values, dict):
            return values
        given = {name: value for name, value in values.items() if isinstance(value, int | float)}
        derived: dict[str, Any] = {}
        for rounds, measurements in (
            ("max_rounds", "max_measurements"),
            ("max_rounds_a_day", "max_measurements_a_day"),
        ):
            if rounds in given:
                derived[measurements] = min(given[rounds] + MORE_MEASUREMENTS, LARGEST_NUMBER)
        for highest, lowest in BETWEEN.items():
            if 0 < given.get(highest, 0) < cls.model_fields[lowest].default:
                derived[lowest] = given[highest]
        return {**derived, **values}

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        for highest, lowest in BETWEEN.items():
            least, most = getattr(self, lowest), getattr(self, highest)
            if least > most:
                raise ValueError(
                    f"{lowest} = {least:g} is above {highest} = {most:g}: every request would be "
                    "refused"
                )
        return self

    @model_validator(mode="after")
    def _has_peers(self) -> Self:
        if self.secagg == "required" and len(set(self.peers)) < FEWEST_PEERS:
            raise ValueError(
                f'secagg = "required" needs at least {FEWEST_PEERS} peers, and peers has '
                f"{len(set(self.peers))}: add the SHA-256 of the other sites' node keys, as "
                "`ecgfl doctor` shows it there"
            )
        return self

    def weaker_than_default(self) -> list[str]:
        """Return each value that protects less than the default, for messages.

        For instance "min_training_patients = 1 (default 10)".
        """
        default, weaker = Policy(), []
        for name in type(self).model_fields:
            value, usual = getattr(self, name), getattr(default, name)
            if (
                (name == "architectures" and not set(value) <= set(usual))
                or (name.startswith("min_") and value < usual)
                or (
                    (name.startswith("max_") or name in ("from_scratch", "acceptance_margin"))
                    and value > usual
                )
            ):
                weaker.append(f"{name} = {json.dumps(value)} (default {json.dumps(usual)})")
        if self.dp is not None:
            weaker += [f"dp.{setting}" for setting in self.dp.weaker_than_default()]
        return weaker

    def with_demand(self, demand: PrivacyDemand | None) -> Self:
        """Return the policy with the stricter of its differential privacy and a demand.

        Raises
        ------
        PolicyRefused
            The policy has no differential privacy, and there is a demand.
        """
        if demand is None:
            return self
        if self.dp is None:
            raise PolicyRefused(
                f"the coordinator asks for differential privacy ({demand.in_words() or 'any'}), "
                "and site.toml has no table [policy.dp]",
                "Add [policy.dp] to site.toml if this site agrees, or ask the coordinator to "
                "remove [privacy] from federation.toml",
            )
        return self.model_copy(update={"dp": self.dp.stricter(demand)})

    @property
    def training_hours(self) -> Hours | None:
        """The hours, parsed."""
        return None if self.hours is None else Hours.read(self.hours)

    def allow_coordinator(self, signing_key: str) -> None:
        """Raise `PolicyRefused` if a coordinator's public signing key (base64) is not accepted."""
        if self.coordinators and signing_key not in self.coordinators:
            raise PolicyRefused(
                f"federation.json has the coordinator's signing key {signing_key}, which is not "
                "in policy.coordinators",
                "Compare the key with the coordinator by telephone, then add it to "
                "policy.coordinators in site.toml",
            )

    def allow_at_most(self, what: str, asked: float, name: str) -> None:
        """Raise `PolicyRefused` if more is asked for than the setting `name` allows."""
        limit = getattr(self, name)
        if asked > limit:
            raise PolicyRefused(
                f"the coordinator asks for {what} {asked:g}, the policy allows at most {limit:g}",
                f"Raise policy.{name} in site.toml if this site agrees",
            )

    def require_asked(self, what: str, asked: float, name: str) -> None:
        """Raise `PolicyRefused` if less is asked for than the setting `name` demands."""
        limit = getattr(self, name)
        if asked < limit:
            raise PolicyRefused(
                f"the coordinator asks for {what} {asked:g}, the policy demands at least {limit:g}",
                f"Lower policy.{name} in site.toml if this site agrees",
            )

    def require_at_least(self, what: str, amount: int, name: str) -> None:
        """Raise `PolicyRefused` if there is less to train on than the setting `name` demands."""
        limit = getattr(self, name)
        if amount < limit:
            raise PolicyRefused(
                f"{amount} {what} to train on, policy.{name} = {limit}",
                f"Ingest more labelled recordings, or lower policy.{name} in site.toml",
            )

    def is_within_hours(self, now: datetime) -> bool:
        """Whether training and measuring is allowed at a local time."""
        return self.training_hours is None or not self.training_hours.wait_from(now)

    def allow_hour(self, now: datetime) -> None:
        """Raise `PolicyRefused` if a local time is outside the hours."""
        if not self.is_within_hours(now):
            raise PolicyRefused(
                f"it is {now:%H:%M}, the policy allows training and measuring in the hours "
                f"{self.hours}",
                "Run `ecgfl join` within them, or change policy.hours in site.toml",
            )
