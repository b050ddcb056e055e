"""What a registry stores of the acceptance tests of a model."""

from typing import Literal

from pydantic import ConfigDict, Field

from ecgfl_cli.models.manifest import Name, Time
from ecgfl_cli.schemas import StrictModel

VerdictCode = Literal["not-worse", "untested", "below-margin", "interval-below-zero", "unusable"]
"""not-worse : accepted by the test. untested : accepted without a test, for lack of another model or of held-out PVCs.

The others are rejections. unusable : refused before the test, for instance because of its loss.
"""


class Acceptance(StrictModel):
    """The fields that ecgfl reads again. accepted : whether the model may be used.

    A site stores the fields of its `Verdict`. A coordinator stores `sites`, the verdict of each site, and `rolled_back`, the time
    of the rollback.
    """

    model_config = ConfigDict(extra="ignore")  # fields that only people read

    accepted: bool
    sites: dict[str, VerdictCode] = Field(default_factory=dict)
    rolled_back: Time | None = None
    code: VerdictCode | None = None
    reason: str | None = None
    against: Name | None = None
    margin: float | None = None
    patients: int | None = None
    pvcs: int | None = None
    f1: float | None = None
    against_f1: float | None = None
    difference: float | None = None
    interval: list[float] | None = None
