"""Converts millivolts to 16-bit counts."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.recording import Lead
from ecgfl_adapters.samples import extremes

MAX_COUNT = 32767
"""Largest count. The count -32768 is WFDB's code for a missing sample."""

MAX_BASELINE = 1 << 30
"""Largest offset in counts. The samples are float32, which has no higher resolution, and WFDB takes
32 bits.
"""


class Quantisation(NamedTuple):
    """The scale of a lead: millivolts are `(counts - baseline) * step_mv`."""

    step_mv: float
    baseline: int


def scale_of(lead: Lead) -> Quantisation:
    """Return the lead's own quantisation step, or the finest with which its range fits 16 bits."""
    low, high = extremes(lead.samples) or (0.0, 0.0)
    step = max(
        lead.step_mv, (high - low) / (2 * MAX_COUNT - 1), max(abs(low), abs(high)) / MAX_BASELINE
    )
    baseline = -round((low + high) / 2 / step) if max(abs(low), abs(high)) > MAX_COUNT * step else 0
    return Quantisation(step, baseline)


def counts_of(samples: NDArray[np.float32], scale: Quantisation) -> NDArray[np.float64]:
    """Return the samples in whole ADC units, with the same shape; NaN stays NaN."""
    counts = np.rint(samples.astype(np.float64) / scale.step_mv) + scale.baseline
    return np.asarray(np.clip(counts, -MAX_COUNT, MAX_COUNT))
