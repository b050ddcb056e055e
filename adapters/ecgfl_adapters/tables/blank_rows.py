"""Finds out from blank cells whether columns have different sampling rates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_FEW_BLANKS = 10
"""Minimum number of blank stretches for cells to be blank repeatedly."""
_INTERLEAVED_SHARE = 0.02
"""Minimum ratio of blank stretches to non-blank rows for the blank rows to belong to other sensors,
not to a loose electrode.
"""
_REGULAR_SHARE = 0.9
"""Minimum share of the blank stretches at one distance for a lead to have a sampling rate of its
own.
"""
FEW_STRETCHES = 20
"""Minimum number of blank stretches for their distances to tell another sampling rate from randomly
missing samples.
"""


def interleaved_rows(leads: Sequence[NDArray[np.float32]]) -> NDArray[np.bool_]:
    """Return the rows of other sensors between those of the leads.

    Every lead is blank in these rows, again and again.

    Parameters
    ----------
    leads : sequence of array
        Samples of each lead, shape (rows,), NaN for a blank cell.

    Returns
    -------
    array
        Whether each row is one of another sensor, shape (rows,).
    """
    blank = np.logical_and.reduce([np.isnan(values) for values in leads])
    stretches = int((blank[1:] & ~blank[:-1]).sum())
    is_repeated = stretches > max(_FEW_BLANKS, _INTERLEAVED_SHARE * int((~blank).sum()))
    return blank if is_repeated else np.zeros_like(blank)


def is_regular(blank: NDArray[np.bool_]) -> bool:
    """Return whether blank stretches are at one distance from each other.

    They are if a lead has another rate than the table, and not if an electrode was off.

    Parameters
    ----------
    blank : array
        Whether each cell is blank, shape (rows,).
    """
    starts = np.flatnonzero(blank[1:] & ~blank[:-1])
    if starts.size <= max(FEW_STRETCHES, _INTERLEAVED_SHARE * (~blank).sum()):
        return False
    distances = np.diff(starts)
    usual = np.median(distances)
    return any(
        ((distances >= low) & (distances <= low + 1)).mean() >= _REGULAR_SHARE
        for low in (usual - 1, usual - 0.5, usual)
    )
