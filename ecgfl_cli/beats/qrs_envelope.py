"""The envelope of a lead: its steepness in the band of the QRS, without P and T waves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

BAND_HZ = (5.0, 18.0)
"""Band of the QRS in hertz. Hamilton (Computers in Cardiology 29:101, 2002) uses 8 to 16, for
narrow QRS; this one includes wide PVCs."""

AVERAGE_SECONDS = 0.1
"""Length of the moving average: about the width of a QRS, so that its slopes become one hump."""

APART_SECONDS = 0.2
"""Smallest distance of two humps; of closer ones only the higher is kept. It is the refractory
time."""

SLOPE_REACH_SECONDS = 0.08


@dataclass(frozen=True)
class Candidates:
    """Humps of the envelope, in order.

    Attributes
    ----------
    samples : array of int64, shape (n,)
        Positions.
    height : array of float64, shape (n,)
        Height in mV/s.
    slope : array of float64, shape (n,)
        Steepest slope within the hump in mV/s.
    sharpness : array of float64, shape (n,)
        Largest third derivative within the hump in mV/s³. It emphasises high frequencies, of which
        a T wave has few even if it is tall and steep.
    """

    samples: NDArray[np.int64]
    height: NDArray[np.float64]
    slope: NDArray[np.float64]
    sharpness: NDArray[np.float64]

    def __getitem__(self, chosen: "NDArray[np.bool_] | NDArray[np.int64]") -> "Candidates":
        """Return the chosen candidates."""
        return Candidates(
            self.samples[chosen], self.height[chosen], self.slope[chosen], self.sharpness[chosen]
        )

    def __len__(self) -> int:
        """Return the number of candidates."""
        return int(self.samples.size)


def candidates(signal: NDArray[np.float32], fs: float) -> Candidates:
    """Return the humps in a piece of a conditioned lead without gaps: several for each beat."""
    band = butter(
        2, (BAND_HZ[0], min(BAND_HZ[1], 0.45 * fs)), btype="bandpass", fs=fs, output="sos"
    )
    rise = np.gradient(sosfiltfilt(band, signal.astype(np.float64))) * fs
    slope = np.abs(rise)
    envelope = uniform_filter1d(slope, max(1, round(AVERAGE_SECONDS * fs)))
    samples, _ = find_peaks(envelope, distance=max(1, round(APART_SECONDS * fs)))
    reach = round(SLOPE_REACH_SECONDS * fs)
    bend = np.abs(np.diff(rise, 2, prepend=rise[:1], append=rise[-1:])) * fs**2
    return Candidates(
        samples.astype(np.int64),
        envelope[samples],
        _largest(slope, samples, reach),
        _largest(bend, samples, reach),
    )


def _largest(
    values: NDArray[np.float64], samples: NDArray[np.int64], reach: int
) -> NDArray[np.float64]:
    """For each sample number, return the largest value within `reach` samples of it."""
    return np.asarray(maximum_filter1d(values, 2 * reach + 1)[samples])
