"""Noise of ambulatory recorders: measure it in beats, and add it to leads."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from ecgfl_cli.beats.mixtures import typical_height

Kind = Literal["wander", "muscle"]

MODEL_FS = 128.0
MODELS: dict[Kind, tuple[float, ...]] = {
    "wander": (1.603, -1.407, 1.125, -0.356),
    "muscle": (1.486, -1.419, 1.102, -0.301),
}
"""Autoregressive models of the records bw (second lead) and ma (first) of PhysioNet's Noise Stress
Test Database (Moody, Muldrow and Mark, Computers in Cardiology 11:381, 1984), fitted by Yule-Walker
at MODEL_FS after `beats.conditioning`."""

STRETCH_SECONDS = 20.0
QUIET_SHARE = 0.5
LEVELS = (0.05, 0.8)
"""Smallest and largest standard deviation of the noise in typical R peaks; it differs from stretch
to stretch, and some have none."""


def recorder_noise(kind: Kind, samples: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return noise at MODEL_FS of unit variance, shape (samples,)."""
    drawn = lfilter(
        [1.0], [1.0, *(-weight for weight in MODELS[kind])], random.normal(size=samples)
    )
    return np.asarray(drawn / drawn.std(), dtype=np.float32)


def worse_recorded(
    conditioned: NDArray[np.float32], peaks: NDArray[np.int64], fs: float, seed: int
) -> NDArray[np.float32]:
    """Return a lead with added stretches of noise.

    Parameters
    ----------
    conditioned : array of float32, shape (n,)
        The conditioned lead.
    peaks : array of int64
        R peaks in samples, whose size scales the noise.
    fs : float
        Sampling rate in hertz.
    seed : int
        Seed of the noise.
    """
    random = np.random.default_rng(seed)
    length = int(conditioned.size * MODEL_FS / fs) + 2
    share = random.uniform()
    noise = share * recorder_noise("wander", length, random) + (1 - share) * recorder_noise(
        "muscle", length, random
    )
    stretches = int(length / (STRETCH_SECONDS * MODEL_FS)) + 1
    level = np.where(
        random.uniform(size=stretches) < QUIET_SHARE, 0.0, random.uniform(*LEVELS, stretches)
    )
    noise *= (
        np.repeat(level, round(STRETCH_SECONDS * MODEL_FS))[:length]
        * typical_height(conditioned[peaks])
        / noise.std()
    )
    if fs != MODEL_FS:
        noise = np.interp(np.arange(conditioned.size) * (MODEL_FS / fs), np.arange(length), noise)
    return (conditioned + noise[: conditioned.size]).astype(np.float32)


def noise_of(windows: NDArray[np.float32], fs: float) -> NDArray[np.float32]:
    """Return the noise of each window, shape (n,), in the unit of the windows; NaN with a gap.

    It is the median magnitude of the second difference over 1 / MODEL_FS seconds: the steep waves
    of the heart fill less than half of a window, muscle noise all of it.

    Parameters
    ----------
    windows : array of float32, shape (n, window length)
        The windows.
    fs : float
        Their sampling rate in hertz.
    """
    bend = np.abs(windows[:, 2:] - 2 * windows[:, 1:-1] + windows[:, :-2])
    return np.asarray(np.median(bend, axis=1) * (fs / MODEL_FS) ** 2, dtype=np.float32)
