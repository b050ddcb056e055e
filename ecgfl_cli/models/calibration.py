"""Calibrate logits to probabilities, and choose the decision threshold.

Platt's scaling (Advances in Large Margin Classifiers, 1999): probability = 1 / (1 + exp(-(scale *
logit + offset))), fitted by maximum likelihood. The sites count their held-out patients' beats by
logit; only these counts leave a site.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ecgfl_cli.schemas import StrictModel

STEP = 0.5
EDGES = np.arange(-7.0, 7.0 + STEP, STEP)
"""Edges of the bins of logits. The first and last bin are open."""

COUNTS = EDGES.size + 1
LARGEST = 1e3
FEWEST = 100
"""Smallest number of held-out PVCs, and of other beats, for a fit."""

FEWEST_OF_A_SITE = 20
"""Smallest number of beats of each class if a small site counts as much as a large one. With 20
beats, the standard error of a share is at most 11 %."""

USUAL_THRESHOLD = 0.5

SCALES = 0.1, 10.0
"""Smallest and largest plausible scale. A model trained with cross-entropy has a scale near 1; the
starter model has 1.3."""

LARGEST_DECISION = 5.0
"""Largest distance from 0 of the logit from which beats are called V. The starter model has
-0.25."""

LEAST_THRESHOLD = 0.05
"""Threshold of a model whose best F1 is 10 %."""

LEAST_FOUND, LARGEST_FALSE = 0.1, 0.5
"""A usable threshold calls at least this share of the PVCs V, and at most this share of the other
beats. Any other calls nearly nothing or nearly everything V."""


class Calibration(StrictModel):
    """Scale and offset of logits. The default changes nothing."""

    scale: Annotated[float, Field(gt=0, le=LARGEST)] = 1.0
    offset: Annotated[float, Field(ge=-LARGEST, le=LARGEST)] = 0.0

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of V for each logit; NaN stays NaN."""
        from scipy.special import expit

        return np.asarray(expit(self.scale * logits + self.offset), dtype=np.float32)


UNCALIBRATED = Calibration()


@dataclass(frozen=True)
class Histogram:
    """Held-out beats by logit.

    Attributes
    ----------
    others, pvcs : array, shape (COUNTS,)
        Counts; whole numbers for one site.
    """

    others: NDArray[np.number]
    pvcs: NDArray[np.number]

    @property
    def beats(self) -> float:
        """Number of all beats."""
        return float(self.others.sum() + self.pvcs.sum())

    @property
    def fewest(self) -> float:
        """The number of beats of the rarer class."""
        return float(min(self.others.sum(), self.pvcs.sum()))

    def called(self, decision: float) -> tuple[float, float]:
        """Return the numbers of PVCs and of other beats at or above a logit.

        Beats are assumed to be spread evenly within a bin.

        The bins below the first edge and above the last one have no width, so their beats are never
        split.
        """
        return _above(self.pvcs, decision), _above(self.others, decision)

    def f1(self, decision: float) -> float:
        """Return the F1 of V if beats at or above a logit are called V; there must be PVCs."""
        called_pvcs, called_others = self.called(decision)
        return 2 * called_pvcs / (called_pvcs + called_others + float(self.pvcs.sum()))


def decision_logit(calibration: Calibration, threshold: float) -> float:
    """Return the logit from which a beat is called V."""
    odds = (
        float(np.log(threshold) - np.log1p(-threshold))
        if 0 < threshold < 1
        else float(np.sign(threshold - 0.5) * np.inf)
    )
    return (odds - calibration.offset) / calibration.scale


def enough(others: NDArray[np.number], pvcs: NDArray[np.number]) -> bool:
    """Whether there are enough beats for a fit.

    Parameters
    ----------
    others, pvcs : array, shape (COUNTS,) or (0,)
        Counts by logit.
    """
    return bool(pvcs.sum() >= FEWEST and others.sum() >= FEWEST)


def fit(others: NDArray[np.number], pvcs: NDArray[np.number]) -> tuple[Calibration, float]:
    """Fit the calibration to counts by logit, each of shape (COUNTS,), and the decision threshold.

    For calibrated probabilities, the threshold with the best F1 is half of that F1 (Lipton, Elkan
    and Naryanaswamy, ECML PKDD 2014). It depends less on single patients than the best threshold on
    the counts themselves.

    The counts may be false. Therefore a calibration or threshold that no useful model has, or that
    calls nearly nothing or nearly everything V, is replaced by the default. If the logits separate
    the classes without error, the scale would grow without limit; it is limited by `SCALES`, and
    the logit for a probability of one half stays the same.
    """
    from scipy.optimize import minimize

    middles = np.concatenate((EDGES[:1] - STEP / 2, EDGES + STEP / 2))

    def loss(weights: NDArray[np.float64]) -> float:
        values = weights[0] * middles + weights[1]
        return float(pvcs @ np.logaddexp(0, -values) + others @ np.logaddexp(0, values))

    scale, offset = (
        float(weight) for weight in minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    )
    # All beats from an edge on are called V.
    called_pvcs, called_others = (column[::-1].cumsum()[::-1][1:] for column in (pvcs, others))
    # Half of the best F1. If the counts are not whole numbers, a rounding error can make it
    # slightly larger than one half.
    threshold = min(float((called_pvcs / (called_pvcs + called_others + pvcs.sum())).max()), 0.5)
    if scale > SCALES[1]:
        scale, offset = SCALES[1], offset * SCALES[1] / scale
    if scale < SCALES[0] or abs(offset) > LARGEST or threshold < LEAST_THRESHOLD:
        return UNCALIBRATED, USUAL_THRESHOLD
    calibration = Calibration(scale=scale, offset=offset)
    decision = decision_logit(calibration, threshold)
    true_positives, false_positives = Histogram(others, pvcs).called(decision)
    if (
        abs(decision) > LARGEST_DECISION
        or true_positives < LEAST_FOUND * pvcs.sum()
        or false_positives > LARGEST_FALSE * others.sum()
    ):
        return UNCALIBRATED, USUAL_THRESHOLD
    return calibration, threshold


def counted(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count the logits in each bin, shape (COUNTS,)."""
    return np.bincount(np.searchsorted(EDGES, logits, side="right"), minlength=COUNTS).astype(
        np.int64
    )


def _above(counts: NDArray[np.number], decision: float) -> float:
    return float(np.interp(decision, EDGES, counts[::-1].cumsum()[::-1][1:]))


@dataclass(frozen=True)
class Calibrated:
    """How the outputs of a model are turned into decisions.

    Attributes
    ----------
    calibration
        Turns logits into probabilities.
    threshold
        Probability from which a beat is called V.
    problem
        Why these are not the fit to all sites; None if they are.
    """

    calibration: Calibration
    threshold: float
    problem: str | None = None

    @property
    def decision(self) -> float:
        """Logit from which a beat is called V."""
        return decision_logit(self.calibration, self.threshold)
