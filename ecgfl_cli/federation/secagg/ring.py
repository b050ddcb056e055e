"""Quantise changes of weights to integers modulo 2^32, in which masks and sums are exact."""

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.errors import ModelRejected

STEP = 2.0**-25
"""Quantisation step. A site's rounding error is at most half of it: the error of the sum of 50
sites is at most 7.5e-7."""

LARGEST_SUM = 2**31 - 1
"""Largest absolute value of the sum, in steps."""


def quantised(change: NDArray[np.float64], factor: float, sites: int) -> NDArray[np.uint32]:
    """Return a site's change of the weights in steps, modulo 2^32.

    Parameters
    ----------
    change
        Change of each weight, shape (n,).
    factor
        The site's weight in the mean as a share of the largest, from 0 to 1.
    sites
        Number of sites of the round. The sum of all cannot overflow.

    Raises
    ------
    ModelRejected
        If a change is not finite or too large.
    """
    if not np.isfinite(change).all():
        raise ModelRejected(
            "the training has made weights that are not finite; nothing was sent",
            "Tell the coordinator; a lower learning rate may help",
        )
    steps = np.rint(change * (factor / STEP))
    largest = LARGEST_SUM // sites
    if np.abs(steps).max(initial=0.0) > largest:
        where = int(np.abs(steps).argmax())
        raise ModelRejected(
            f"the training has changed weight {where} by {change[where]:g}; secure aggregation of "
            f"{sites} sites can carry at most {largest * STEP / factor:.3g}; nothing was sent",
            "Tell the coordinator; a lower learning rate or fewer sites in a run may help",
        )
    return steps.astype(np.int64).astype(np.uint32)


def mean_change(total: NDArray[np.uint32], factors: float) -> NDArray[np.float64]:
    """Return the weighted mean of the sites' changes.

    Parameters
    ----------
    total
        Sum of the quantised changes modulo 2^32, without masks, shape (n,).
    factors
        Sum of the sites' factors.
    """
    return total.astype(np.int32).astype(np.float64) * (STEP / factors)
