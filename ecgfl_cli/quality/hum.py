"""Measure the mains hum in a lead."""

from dataclasses import dataclass

import numpy as np
from ecgfl_adapters.samples import Samples

from ecgfl_cli.quality.limits import Limits

MAINS_HZ = (50.0, 60.0)

BLOCK_SECONDS = 4.0
"""Length of a block in seconds. With a Hann window it separates lines half a hertz apart; a mains
grid stays within 0.2 Hz (EN 50160: 0.5 Hz)."""

LINE_HZ, BESIDE_HZ = 0.5, (1.0, 3.0)
"""Largest deviation of the line in hertz, and the distance from it at which the spectrum of heart
and noise is measured."""


@dataclass(frozen=True)
class Hum:
    """A mains line.

    Attributes
    ----------
    amplitude_mv : float
        Amplitude of the sine wave in millivolts (half of peak to peak) that half of the blocks
        exceed.
    hertz : float
        50 or 60.
    """

    amplitude_mv: float
    hertz: float


def hum(samples: Samples, fs: float, limits: Limits) -> Hum | None:
    """Return the stronger line of 50 and 60 Hz; None if it cannot be measured.

    It is measured in at most `limits.hum_blocks` blocks spread evenly over the recording. A QRS has
    power at these frequencies too, but in a broad band. A line exceeds its neighbours: twice their
    median, which Rayleigh-distributed noise exceeds in 6 % of the bins.
    """
    block = round(BLOCK_SECONDS * fs)
    lines = [line for line in MAINS_HZ if line + BESIDE_HZ[0] < fs / 2]
    if samples.size < block or not lines:
        return None
    starts = np.linspace(
        0, samples.size - block, max(1, min(limits.hum_blocks, samples.size // block))
    ).astype(np.int64)
    rows = samples[starts[:, None] + np.arange(block)]
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        return None
    rows = rows - rows.mean(axis=1, keepdims=True)
    window = np.hanning(block).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(rows * window, axis=1)) * (2.0 / window.sum())
    hertz = np.arange(spectrum.shape[1]) * fs / block
    found = []
    for line in lines:
        apart = np.abs(hertz - line)
        at_line = spectrum[:, apart <= LINE_HZ].max(axis=1)
        beside = np.median(spectrum[:, (apart >= BESIDE_HZ[0]) & (apart <= BESIDE_HZ[1])], axis=1)
        excess = np.maximum(at_line**2 - (2.0 * beside) ** 2, 0.0)
        found.append(Hum(float(np.median(np.sqrt(excess))), line))
    return max(found, key=lambda each: each.amplitude_mv)
