"""Findings about a recording, and their severity."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How serious a finding is.

    error: the recording is not used. warning: it is used, but should be looked at. info: nothing to
    do.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Rank of the severity; 0 is the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Attributes
    ----------
    code : str
        Stable name in kebab-case, for instance "flat-lead". Scripts rely on it.
    severity : Severity
        How serious it is.
    message : str
        What was found, where, the measured value and the limit.
    fix : str
        What a person can do now.
    lead : str or None
        Name of the lead; None if it concerns the whole recording.
    start_s, stop_s : float or None
        The affected time in seconds from the start; None if it is not one stretch.
    value, limit : float, str or None
        What was measured and what is allowed, in the unit that the message names.
    """

    code: str
    severity: Severity
    message: str
    fix: str
    lead: str | None = None
    start_s: float | None = None
    stop_s: float | None = None
    value: float | str | None = None
    limit: float | str | None = None

    def as_dict(self) -> dict[str, str | float | None]:
        """Return the fields for JSON, with infinities and NaN as words."""
        return {key: _jsonable(content) for key, content in asdict(self).items()}


NO_LABELS = "no-labels"
"""Code of the finding for a recording without beat labels: usable for prediction, not for training
or evaluation."""


class Usability(StrEnum):
    """What a recording can be used for."""

    USABLE = "usable"
    UNLABELLED = "unlabelled"
    REJECTED = "rejected"


def usability(findings: Iterable[Finding]) -> Usability:
    """Return what a recording with these findings can be used for."""
    findings = list(findings)
    if not is_usable(findings):
        return Usability.REJECTED
    return (
        Usability.UNLABELLED
        if any(finding.code == NO_LABELS for finding in findings)
        else Usability.USABLE
    )


def worst(findings: Iterable[Finding]) -> Severity | None:
    """Return the worst severity of the findings; None if there are none."""
    return min(
        (finding.severity for finding in findings), key=lambda severity: severity.rank, default=None
    )


def is_usable(findings: Iterable[Finding]) -> bool:
    """Whether nothing among the findings forbids using the recording."""
    return worst(findings) is not Severity.ERROR


def _jsonable(content: str | float | None) -> str | float | None:
    if isinstance(content, StrEnum):
        return content.value
    return str(content) if isinstance(content, float) and not math.isfinite(content) else content
