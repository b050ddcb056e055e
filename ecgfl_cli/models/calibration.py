"""What a logit is worth: probabilities that mean what they say, and the decision threshold.

Platt's scaling (Advances in Large Margin Classifiers, 1999): probability = 1 / (1 + exp(-(scale * logit + offset))), fitted by
maximum likelihood. The sites count their held-out patients' beats by logit; only these counts leave a site.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

STEP = 0.5
EDGES = np.arange(-7.0, 7.0 + STEP, STEP)
"""Logits between which beats are counted; the first and last count are of those beyond."""

COUNTS = EDGES.size + 1
LARGEST = 1e3
FEWEST = 100
"""With fewer held-out PVCs or others nothing is fitted."""

USUAL_THRESHOLD = 0.5


class Calibration(BaseModel):
    """The default takes logits as they come."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    scale: Annotated[float, Field(gt=0, le=LARGEST)] = 1.0
    offset: Annotated[float, Field(ge=-LARGEST, le=LARGEST)] = 0.0

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of V, of the shape of the logits; NaN stays NaN."""
        from scipy.special import expit

        return np.asarray(expit(self.scale * logits + self.offset), dtype=np.float32)


UNCALIBRATED = Calibration()


def enough(others: NDArray[np.int64], pvcs: NDArray[np.int64]) -> bool:
    """Whether there are beats to fit to: counts by logit, each of shape (COUNTS,), or no count at all."""
    return bool(pvcs.sum() >= FEWEST and others.sum() >= FEWEST)


def fit(others: NDArray[np.int64], pvcs: NDArray[np.int64]) -> tuple[Calibration, float]:
    """The calibration that counts by logit ask for, each of shape (COUNTS,), and the decision threshold.

    For calibrated probabilities the threshold with the best F1 is half that F1 (Lipton, Elkan and Naryanaswamy, ECML PKDD 2014):
    less at the mercy of single patients than the best threshold on the counts themselves.
    """
    from scipy.optimize import minimize

    middles = np.concatenate((EDGES[:1] - STEP / 2, EDGES + STEP / 2))

    def loss(weights: NDArray[np.float64]) -> float:
        values = weights[0] * middles + weights[1]
        return float(pvcs @ np.logaddexp(0, -values) + others @ np.logaddexp(0, values))

    scale, offset = (float(weight) for weight in minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x)
    if not 0 < scale <= LARGEST or abs(offset) > LARGEST:
        return Calibration(), USUAL_THRESHOLD
    # All beats from an edge on are called V.
    found, false = (counts[::-1].cumsum()[::-1][1:] for counts in (pvcs, others))
    f1 = 2 * found / (found + false + pvcs.sum())
    if not f1.max() > 0:  # all logits lie in the lowest bin
        return Calibration(), USUAL_THRESHOLD
    return Calibration(scale=scale, offset=offset), float(f1.max()) / 2


def counted(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many logits lie between the EDGES, shape (COUNTS,)."""
    return np.bincount(np.searchsorted(EDGES, logits, side="right"), minlength=COUNTS).astype(np.int64)
