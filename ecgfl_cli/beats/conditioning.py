"""A lead made ready for detection and for a model: one rate, no baseline, no noise beyond the ECG's band; gaps stay gaps."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

BAND_HZ = (0.5, 40.0)
"""Diagnostic content of a QRS without baseline wander and muscle noise; the ambulatory band of IEC 60601-2-47."""

SHORTEST_SECONDS = 1.0
"""A piece between two gaps that is shorter holds no beat with its neighbours and stays a gap."""

LARGEST_DRIFT = 0.5
"""Samples by which the end of a piece may be out of step after resampling."""

FILTER_SAMPLES = 20
"""What the zero-phase filter needs to settle at either end."""


def pieces(samples: NDArray[np.float32]) -> list[slice]:
    """The stretches without NaN."""
    present = np.concatenate(([False], ~np.isnan(samples), [False]))
    edges = np.flatnonzero(np.diff(present.astype(np.int8)))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def condition(samples: NDArray[np.float32], fs: float, target_fs: float) -> NDArray[np.float32]:
    """Band-pass and resample one lead, piece by piece between its gaps.

    samples : shape (n,), millivolts, NaN in gaps. fs, target_fs : hertz.
    Returns shape (round(n * target_fs / fs),), millivolts, NaN in gaps: sample k stands at k / target_fs seconds.
    """
    conditioned = np.full(round(samples.size * target_fs / fs), np.nan, dtype=np.float32)
    ratio = Fraction(target_fs / fs).limit_denominator(1000)
    high = min(BAND_HZ[1], 0.45 * min(fs, target_fs))
    if high <= BAND_HZ[0]:
        return conditioned
    band = butter(2, (BAND_HZ[0], high), btype="bandpass", fs=target_fs, output="sos")
    for piece in pieces(samples):
        if piece.stop - piece.start < max(SHORTEST_SECONDS * fs, FILTER_SAMPLES * max(1.0, fs / target_fs)):
            continue
        signal = samples[piece].astype(np.float32)
        signal -= np.median(signal)
        start = round(piece.start * target_fs / fs)
        length = min(round(signal.size * target_fs / fs), conditioned.size - start)
        if abs(float(ratio) * fs / target_fs - 1) * length > LARGEST_DRIFT:
            # No small fraction keeps an odd rate in step over a long recording.
            signal = np.interp(np.arange(length) * (fs / target_fs), np.arange(signal.size), _band_passed(signal, fs)).astype(
                np.float32
            )
        elif ratio != 1:
            signal = resample_poly(signal, ratio.numerator, ratio.denominator, padtype="line")
        signal = sosfiltfilt(band, signal).astype(np.float32)[:length]
        conditioned[start : start + signal.size] = signal
    return conditioned


def _band_passed(signal: NDArray[np.float32], fs: float) -> NDArray[np.float64]:
    """At the recording's own rate, so that reading between its samples along straight lines does little harm."""
    band = butter(2, (BAND_HZ[0], min(BAND_HZ[1], 0.45 * fs)), btype="bandpass", fs=fs, output="sos")
    return np.asarray(sosfiltfilt(band, signal))
