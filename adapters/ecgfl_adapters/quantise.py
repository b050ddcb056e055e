"""Millivolts -> 16-bit counts."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.recording import Lead

MAX_COUNT = 32767
"""Largest count; -32768 is left free, WFDB's code for "no sample"."""

AT_A_TIME = 1 << 20
"""Samples that are worked on at a time: a week needs no more memory than an hour."""

MAX_BASELINE = 1 << 30
"""Counts by which an offset is taken away; float32, in which samples are, tells fewer apart, and WFDB takes 32 bits."""


class Scale(NamedTuple):
    """Millivolts are `(counts - baseline) * step_mv`."""

    step_mv: float
    baseline: int


def scale_of(lead: Lead) -> Scale:
    """The lead's own quantisation step, or the finest with which its range fits 16 bits."""
    low, high = _range(lead.samples)
    step = max(lead.step_mv, (high - low) / (2 * MAX_COUNT - 1), max(abs(low), abs(high)) / MAX_BASELINE)
    baseline = -round((low + high) / 2 / step) if max(abs(low), abs(high)) > MAX_COUNT * step else 0
    return Scale(step, baseline)


def counts_of(samples: NDArray[np.float32], scale: Scale) -> NDArray[np.float64]:
    """Whole ADC units, shape as `samples`; NaN stays NaN."""
    counts = np.rint(samples.astype(np.float64) / scale.step_mv) + scale.baseline
    return np.asarray(np.clip(counts, -MAX_COUNT, MAX_COUNT))


def parts(length: int) -> Iterator[slice]:
    """Stretches of at most `AT_A_TIME` samples that cover `length`."""
    return (slice(start, min(start + AT_A_TIME, length)) for start in range(0, length, AT_A_TIME))


def _range(samples: NDArray[np.float32]) -> tuple[float, float]:
    """Of the finite samples; zeros where there is none."""
    found = [part for piece in parts(samples.size) if (part := samples[piece][np.isfinite(samples[piece])]).size]
    return (float(min(part.min() for part in found)), float(max(part.max() for part in found))) if found else (0.0, 0.0)
