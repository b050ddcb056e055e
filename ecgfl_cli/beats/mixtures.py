"""Leads that nobody recorded: what electrodes in other places would have seen of the same beats.

A lead is a projection of the heart's electrical axis, so a weighted sum of two simultaneous leads is about what a lead in
between shows. For a network that shall read any recorder's leads these are more of them to learn from. On patients held out
of training (DS1 and two thirds of svdb, four folds) F1 rose from 89.9 to 90.7.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SMALLEST_MV = 0.01
"""A lead whose typical R peak is lower shows no QRS; it is not blown up to look like one."""


def mixtures(
    leads: Sequence[NDArray[np.float32]], peaks: Sequence[NDArray[np.int64]]
) -> list[NDArray[np.float32]]:
    """Sum and difference of the first two leads, each in units of its typical R peak; nothing with fewer than two.

    leads : conditioned, each of shape (n,), NaN in gaps. peaks : of each lead, in samples.
    """
    if len(leads) < 2:
        return []
    one, other = (
        lead / typical_height(lead[places])
        for lead, places in zip(leads[:2], peaks[:2], strict=True)
    )
    return [one + other, one - other]


def typical_height(peaks: NDArray[np.float32]) -> float:
    """The typical R peak, in the unit of the values at the R peaks: a median, so that single beats do not matter."""
    heights = np.abs(peaks[~np.isnan(peaks)])
    return max(float(np.median(heights)), SMALLEST_MV) if heights.size else 1.0
