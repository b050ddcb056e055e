"""Noise as ambulatory recorders have it: how much of it a beat has, and leads as they would have been recorded with it."""

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
"""Autoregressive models of the records bw (second lead) and ma (first) of PhysioNet's Noise Stress Test Database (Moody,
Muldrow and Mark, Computers in Cardiology 11:381, 1984), fitted by Yule-Walker at MODEL_FS after `beats.conditioning`."""

STRETCH_SECONDS = 20.0
QUIET_SHARE = 0.5
LEVELS = (0.05, 0.8)
"""Standard deviation of the noise in typical R peaks; each stretch has its own, or none."""


def recorder_noise(kind: Kind, samples: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Noise at MODEL_FS, shape (samples,), of unit variance."""
    drawn = lfilter(
        [1.0], [1.0, *(-weight for weight in MODELS[kind])], random.normal(size=samples)
    )
    return np.asarray(drawn / drawn.std(), dtype=np.float32)


def worse_recorded(
    conditioned: NDArray[np.float32], peaks: NDArray[np.int64], fs: float, seed: int
) -> NDArray[np.float32]:
    """The lead with stretches of noise, shape and unit as before. peaks : R peaks in samples; they say how large the noise is."""
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
    """How restless each window is all along, shape (n,); NaN where it has a gap. Unit of the windows, which have `fs` hertz.

    The median of the second difference's magnitude, taken over 1 / MODEL_FS seconds: a heart's own steep waves fill less than
    half of a window, muscle noise all of it.
    """
    bend = np.abs(windows[:, 2:] - 2 * windows[:, 1:-1] + windows[:, :-2])
    return np.asarray(np.median(bend, axis=1) * (fs / MODEL_FS) ** 2, dtype=np.float32)
