"""Test a new model on a site's held-out patients before the site uses it.

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

N = LABELS.index("N")
V = LABELS.index("V")

ANY_MODEL = 1.0
"""Acceptance margin that disables the test. No difference of F1 exceeds it."""

ByPatient = dict[str, Measured]
"""Pseudonym of a held-out patient -> figures of a model on this patient."""


@dataclass(frozen=True)
class Verdict:
    """Result of an acceptance test.

    Attributes
    ----------
    accepted : bool
        Whether the candidate may become the current model.
    reason : str
        Why, as text for people.
    against : str or None
        Version of the model that the candidate was compared with; None if there was none.
    margin : float
        Acceptance margin of the policy, from 0 to 1.
    patients, pvcs : int
        Numbers of held-out patients and of their PVCs.
    f1, against_f1 : float or None
        F1 of V of the candidate and of the other model on the same held-out patients, from 0 to 1;
        None if it was not measured.
    difference : float or None
        f1 - against_f1, from -1 to 1.
    interval : tuple of float or None
        95 % interval of the difference by bootstrap over patients; None for a single patient.
    code : str
        The result, for programs; see `VerdictCode`.
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
        """Whether the candidate was compared with the best model and is at least as good."""
        return self.accepted and self.difference is not None and self.difference >= 0

    def as_dict(self) -> dict[str, Any]:
        """Return all fields by name."""
        return asdict(self)


def by_patient(network: "nn.Module", manifest: Manifest, held_out: HeldOut) -> ByPatient:
    """Measure a model on each held-out patient.

    Parameters
    ----------
    network : torch.nn.Module
        The network with the weights of the model.
    manifest : Manifest
        Manifest of the model; gives its calibration and threshold.
    held_out : HeldOut
        The held-out patients.

    Returns
    -------
    dict of str to Measured
        Pseudonym of a patient with labelled beats -> figures of the model.
    """
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
    """Return the verdict that accepts a candidate which cannot be compared with another model.

    Parameters
    ----------
    candidate : dict of str to Measured
        Figures of the candidate.
    margin : float
        Acceptance margin of the policy, from 0 to 1.
    note : str
        Why there is no comparison.
    against : str or None
        Version of the best model, if there is one.
    """
    return Verdict(True, note, against, margin, len(candidate), _pvcs(candidate))


def judge(candidate: ByPatient, best: ByPatient, against: str, margin: float) -> Verdict:
    """Compare a candidate with the best model accepted so far.

    The candidate is rejected if its F1 is lower by more than `margin`, or if the whole 95 %
    interval of the difference is below 0.

    Parameters
    ----------
    candidate, best : dict of str to Measured
        Figures of both models on the same patients.
    against : str
        Version of the best model.
    margin : float
        Acceptance margin of the policy, from 0 to 1.

    Returns
    -------
    Verdict
        Result of the comparison.

    Notes
    -----
    The comparison is with the best model. In a comparison with the current model, each new model
    could be worse than the previous one by the margin.

    The margin is for sites with few held-out patients, where the interval is wide. A candidate
    whose whole interval is below 0 is worse, and is rejected even within the margin. Only the
    margin `ANY_MODEL` accepts every model.
    """
    patients = sorted(candidate.keys() & best.keys())
    pvcs = sum(candidate[patient].pvcs for patient in patients)
    if not pvcs:
        return unopposed(
            candidate,
            margin,
            "accepted untested: the held-out patients have no PVCs",
            against,
        )
    of_candidate = [_comparison(candidate[patient]) for patient in patients]
    of_best = [_comparison(best[patient]) for patient in patients]
    f1 = _f1(of_candidate)
    against_f1 = _f1(of_best)
    difference = f1 - against_f1
    interval = paired_bootstrap(of_candidate, of_best, veb_f1)
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
    interval_text = (
        "no interval, because there is one patient"
        if interval is None
        else f"95 % interval {interval[0]:+.3f} to {interval[1]:+.3f}"
    )
    reason = (
        f"F1 {f1:.3f}, that of {against} is {against_f1:.3f} ({pvcs} PVCs, {len(patients)} "
        f"held-out patients); difference {difference:+.3f} ({interval_text}), {outcomes[code]}"
    )
    return Verdict(
        accepted=code == "not-worse",
        reason=reason,
        against=against,
        margin=margin,
        patients=len(patients),
        pvcs=pvcs,
        f1=f1,
        against_f1=against_f1,
        difference=difference,
        interval=interval,
        code=code,
    )


def _pvcs(measured: ByPatient) -> int:
    """Return the number of PVCs of all patients."""
    return sum(figures.pvcs for figures in measured.values())


def _comparison(measured: Measured) -> Comparison:
    """Return the figures as a comparison of labels; every beat is detected, and is N or V."""
    matrix = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
    matrix[V, V], matrix[V, N] = measured.true_positives, measured.pvcs - measured.true_positives
    matrix[N, V] = measured.false_positives
    matrix[N, N] = measured.beats - measured.pvcs - measured.false_positives
    return Comparison(matrix, 0.0)


def _f1(comparisons: Sequence[Comparison]) -> float:
    """Return the gross F1 of V over some patients, from 0 to 1."""
    gross = reduce(Comparison.__add__, comparisons)
    return float(veb_f1(gross.matrix, np.asarray(gross.seconds)))
