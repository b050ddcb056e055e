"""The size of a lead's QRS, and which way it points."""

from dataclasses import dataclass

import numpy as np
from ecgfl_adapters.samples import Samples
from numpy.typing import NDArray

from ecgfl_cli.quality.limits import Limits


@dataclass(frozen=True)
class TypicalQrs:
    """The typical QRS of a lead.

    Attributes
    ----------
    size_mv : float
        Median peak-to-peak amplitude of the beats in millivolts.
    polarity : float
        Polarity of the median beat, from -1 (all below the level before the QRS) to 1 (all above).
    """

    size_mv: float
    polarity: float


def typical_qrs(
    samples: Samples, fs: float, beats: NDArray[np.int64], limits: Limits
) -> TypicalQrs | None:
    """Measure the typical QRS in at most `limits.qrs_sample` beats spread evenly.

    Returns None if there is no complete beat.
    """
    half = round(limits.qrs_half_window_s * fs)
    inside = beats[(beats >= half) & (beats < samples.size - half)]
    if not inside.size:
        return None
    chosen = inside[
        np.linspace(0, inside.size - 1, min(limits.qrs_sample, inside.size)).astype(np.int64)
    ]
    windows = samples[chosen[:, None] + np.arange(-half, half + 1)].astype(np.float64)
    windows = windows[~np.isnan(windows).any(axis=1)]
    if not len(windows):
        return None
    typical = np.median(windows, axis=0)
    # The first tenth of a second's window ends 80 ms before the R peak: the PQ segment, where the
    # ECG is at its zero.
    typical -= np.median(typical[: max(1, half * 2 // 10)])
    above, below = max(float(typical.max()), 0.0), max(float(-typical.min()), 0.0)
    return TypicalQrs(
        float(np.median(np.ptp(windows, axis=1))),
        (above - below) / (above + below) if above + below > 0 else 0.0,
    )
