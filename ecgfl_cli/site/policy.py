"""[policy] of site.toml: what a coordinator may ask of this site. Everything else is refused with exit code 5."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ecgfl_cli.errors import PolicyRefused
from ecgfl_cli.site.hours import Hours

NICEST = 19

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
"""Metrics of a reply that a site may withhold. The number of examples is always sent, because it weights the site's update.

verdict : the site's verdict on a run's final model.
"""


def _hours(text: str) -> str:
    Hours.read(text)
    return text


Number = Annotated[int, Field(ge=1)]


class Policy(BaseModel):
    """coordinators : public signing keys as in federation.json; without any, that of federation.json, whichever it is.

    hours : of the day, local time, for instance "22:00-06:00", in which is trained; None at any. metrics : that may leave.
    min_training_* : what there must be to train on, held-out patients not counted. max_rounds_a_day : in any 24 hours.
    acceptance_margin : a new model is rejected if its F1 on this site's held-out patients is lower by more than this than that of
        the best model accepted so far; from 0 to 1, where 1 accepts every model.
    cpu_threads : for training; the networks are so small that a second thread costs more than it brings.
    niceness : of `join`, as `nice` takes it; without effect on Windows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    architectures: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=100)] = ["beatnet", "ecgnet"]
    coordinators: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=100)] = []
    max_rounds: Number = 200
    max_rounds_a_day: Number = 200
    max_local_epochs: Number = 10
    max_learning_rate: Annotated[float, Field(gt=0)] = 0.01
    max_batch_size: Number = 1024
    min_training_recordings: Number = 1
    min_training_patients: Number = 1
    min_training_pvcs: Annotated[int, Field(ge=0)] = 0
    min_training_beats: Number = 100
    hours: Annotated[str, AfterValidator(_hours)] | None = None
    metrics: Annotated[list[Metric], Field(max_length=len(METRICS))] = list(METRICS)
    acceptance_margin: Annotated[float, Field(ge=0, le=1)] = 0.05
    cpu_threads: Number = 1
    niceness: Annotated[int, Field(ge=0, le=NICEST)] = 0

    @property
    def training_hours(self) -> Hours | None:
        return None if self.hours is None else Hours.read(self.hours)

    def allow_coordinator(self, signing_key: str) -> None:
        """Raises `PolicyRefused` for a coordinator whose public signing key (base64) is not named."""
        if self.coordinators and signing_key not in self.coordinators:
            raise PolicyRefused(
                f"federation.json is of the coordinator with signing key {signing_key}, not in policy.coordinators",
                "Compare the key with the coordinator by telephone, then add it to policy.coordinators in site.toml",
            )

    def allow_at_most(self, what: str, asked: float, name: str) -> None:
        """Raises `PolicyRefused` when more is asked for than the bound of that name."""
        limit = getattr(self, name)
        if asked > limit:
            raise PolicyRefused(
                f"the coordinator asks for {what} {asked:g}, the policy allows at most {limit:g}",
                f"Raise policy.{name} in site.toml if this site agrees",
            )

    def require_at_least(self, what: str, there: int, name: str) -> None:
        """Raises `PolicyRefused` when there is less to train on than the bound of that name."""
        limit = getattr(self, name)
        if there < limit:
            raise PolicyRefused(
                f"{there} {what} to train on, the policy wants {limit}",
                f"Ingest more labelled recordings, or lower policy.{name} in site.toml",
            )

    def allow_hour(self, now: datetime) -> None:
        """Raises `PolicyRefused` outside the hours. now : local time."""
        if self.training_hours is not None and self.training_hours.wait_from(now):
            raise PolicyRefused(
                f"it is {now:%H:%M}, the policy allows training in the hours {self.hours}",
                "Start `ecgfl join` within them, or change policy.hours in site.toml",
            )
