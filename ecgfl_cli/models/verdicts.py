"""Results of the acceptance tests of a model, as a registry stores them."""

from typing import Literal

from pydantic import ConfigDict, Field

from ecgfl_cli.models.manifest import Name, Time
from ecgfl_cli.schemas import StrictModel

VerdictCode = Literal["not-worse", "untested", "below-margin", "interval-below-zero", "unusable"]
"""not-worse : accepted by the test. untested : accepted without a test, for lack of another model
or of held-out PVCs.

The others are rejections. unusable : refused before the test, for instance because of its loss. """


class Acceptance(StrictModel):
    """The fields that ecgfl reads again.

    A site stores the fields of its `Verdict`. A coordinator stores the verdict of each site and the
    time of a rollback.

    Attributes
    ----------
    accepted : bool
        Whether the model may be used.
    sites : dict of str to str
        Site -> its verdict.
    rolled_back : str or None
        Time of the rollback.
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
