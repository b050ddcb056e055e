"""Millivolts -> 16-bit counts."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.recording import Lead

MAX_COUNT = 32767
"""Largest count; -32768 is left free, WFDB's code for "no sample"."""


class Counts(NamedTuple):
    """A lead in ADC units: millivolts are `(counts - baseline) * step_mv`. What a NaN sample counts is meaningless."""

    counts: NDArray[np.int64]
    step_mv: float
    baseline: int


def quantise(lead: Lead) -> Counts:
    """The lead in steps of its own quantisation step, or of the finest step with which its range fits 16 bits."""
    finite = lead.samples[np.isfinite(lead.samples)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    step = max(lead.step_mv, (high - low) / (2 * MAX_COUNT - 1))
    baseline = 0
    if max(abs(low), abs(high)) > MAX_COUNT * step:
        baseline = -round((low + high) / 2 / step)
    counts = np.rint(np.nan_to_num(lead.samples.astype(np.float64), nan=0.0) / step) + baseline
    return Counts(np.clip(counts, -MAX_COUNT, MAX_COUNT).astype(np.int64), step, baseline)
