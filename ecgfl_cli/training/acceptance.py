"""The acceptance test of a new model on a site's held-out patients.

The model must not be worse than the best model accepted so far.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgfl_cli.evaluation.annotations import LABELS
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.intervals import Interval, paired_bootstrap
from ecgfl_cli.evaluation.statistics import veb_f1
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.training.dataset import HeldOut
from ecgfl_cli.training.local import NOTHING, Measured, measure

if TYPE_CHECKING:
    from torch import nn

N, V = LABELS.index("N"), LABELS.index("V")

ANY_MODEL = 1.0
"""The acceptance margin that disables the test."""

ByPatient = dict[str, Measured]
"""Pseudonym of a held-out patient -> figures of a model."""


@dataclass(frozen=True)
class Verdict:
    """The result of an acceptance test. What could not be measured is None.

    Attributes
    ----------
    accepted : bool
        Whether the candidate may become the current model.
    reason : str
        Why, for a person.
    against : str or None
        Version of the best model accepted so far.
    margin : float
        Acceptance margin of the policy.
    patients, pvcs : int
        Numbers of held-out patients and of their PVCs.
    f1, against_f1 : float or None
        F1 of V of both models on the same held-out patients, from 0 to 1.
    difference : float or None
        f1 - against_f1.
    interval : tuple of float or None
        95 % interval of the difference by bootstrap over patients; None with fewer than two.
    code : str
        The result, for programs.
    """

    accepted: bool
    reason: str
    against: str | None
    margin: float
    patients: int
    pvcs: int
    f1: float | None = None
    against_f1: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    code: VerdictCode = "untested"

    @property
    def is_best(self) -> bool:
        """Whether the model was compared with the best one and is at least as good."""
        return self.accepted and self.difference is not None and self.difference >= 0

    def as_dict(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)


def by_patient(network: "nn.Module", manifest: Manifest, held_out: HeldOut) -> ByPatient:
    """Measure a model on each held-out patient, with its own calibration and threshold."""
    figures: ByPatient = {}
    for record, examples in zip(held_out.records, held_out, strict=True):
        if len(examples):
            measured = measure(network, [examples], manifest.calibration, manifest.threshold)
            patient = record.row.patient
            figures[patient] = (
                figures[patient].with_more(measured) if patient in figures else measured
            )
    return figures


def total(measured: ByPatient) -> Measured:
    """Return the figures of all patients together."""
    return reduce(Measured.with_more, measured.values(), NOTHING)


def unopposed(
    candidate: ByPatient, margin: float, note: str, against: str | None = None
) -> Verdict:
    """Return the verdict for a candidate without another model to compare with."""
    return Verdict(True, note, against, margin, len(candidate), _pvcs(candidate))


def judge(candidate: ByPatient, best: ByPatient, against: str, margin: float) -> Verdict:
    """Compare a candidate with the best model accepted so far.

    The candidate is accepted unless its F1 is lower by more than `margin`, or lower with 95 %
    confidence.

    If new models were compared with the current model, each could be worse by the margin than the
    one before. The margin is for sites with few held-out patients, where the interval is wide. If
    the whole interval lies below zero, the candidate is worse, whatever the margin. Only a margin
    of `ANY_MODEL`, which no difference exceeds, accepts every model.

    Parameters
    ----------
    candidate, best : dict
        Figures of both models on the same patients.
    against : str
        Version of the best model.
    margin : float
        Acceptance margin of the policy.
    """
    patients = sorted(candidate.keys() & best.keys())
    pvcs = sum(candidate[patient].pvcs for patient in patients)
    if not pvcs:
        return unopposed(
            candidate,
            margin,
            "no PVCs of held-out patients to compare on: accepted untested",
            against,
        )
    ours, theirs = (
        [_comparison(measures[patient]) for patient in patients] for measures in (candidate, best)
    )
    f1, against_f1 = (_f1(comparisons) for comparisons in (ours, theirs))
    difference, interval = f1 - against_f1, paired_bootstrap(ours, theirs, veb_f1)
    code: VerdictCode = "not-worse"
    if difference < -margin:
        code = "below-margin"
    elif interval is not None and interval[1] < 0 and margin < ANY_MODEL:
        code = "interval-below-zero"
    outcomes = {
        "not-worse": f"within the margin of {margin:g}",
        "below-margin": f"worse by more than policy.acceptance_margin = {margin:g}",
        "interval-below-zero": "worse: the whole interval lies below zero",
    }
    shown = (
        "no interval from one patient"
        if interval is None
        else f"95 % interval {interval[0]:+.3f} to {interval[1]:+.3f}"
    )
    reason = (
        f"F1 {f1:.3f} against {against_f1:.3f} of {against} on {pvcs} PVCs of held-out patients "
        f"({len(patients)}):"
        f" {difference:+.3f} ({shown}), {outcomes[code]}"
    )
    accepted = code == "not-worse"
    return Verdict(
        accepted,
        reason,
        against,
        margin,
        len(patients),
        pvcs,
        f1,
        against_f1,
        difference,
        interval,
        code,
    )


def _pvcs(measured: ByPatient) -> int:
    return sum(figures.pvcs for figures in measured.values())


def _comparison(measured: Measured) -> Comparison:
    """Return the comparison of annotated beats: all are found, and are N or V."""
    matrix = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
    matrix[V, V], matrix[V, N] = measured.true_positives, measured.pvcs - measured.true_positives
    matrix[N, V] = measured.false_positives
    matrix[N, N] = measured.beats - measured.pvcs - measured.false_positives
    return Comparison(matrix, 0.0)


def _f1(comparisons: Sequence[Comparison]) -> float:
    gross = reduce(Comparison.__add__, comparisons)
    return float(veb_f1(gross.matrix, np.asarray(gross.seconds)))
