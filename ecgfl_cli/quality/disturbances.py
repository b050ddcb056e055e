"""Measure the disturbances of a lead: baseline wander, mains hum, spikes and noise."""

from dataclasses import dataclass

import numpy as np
from ecgfl_adapters.samples import Samples
from numpy.typing import NDArray

from ecgfl_cli.quality.hum import Hum, hum
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.noise import Noise, noise
from ecgfl_cli.quality.parts import Stretches, merged
from ecgfl_cli.quality.spikes import spikes_per_minute
from ecgfl_cli.quality.wander import Wander, wander


@dataclass(frozen=True)
class Disturbances:
    """Disturbances of a lead.

    Each is None if it cannot be measured: the lead is too short, has no signal, or its sampling
    rate is too low.
    """

    wander: Wander | None
    hum: Hum | None
    spikes_per_minute: float
    noise: Noise | None


def measure_disturbances(
    samples: Samples,
    fs: float,
    lost: Stretches,
    beats: NDArray[np.int64],
    qrs_mv: float,
    limits: Limits,
) -> Disturbances:
    """Measure the disturbances of a lead.

    Each is measured outside the time of other findings: noise not while the lead is off, spikes not
    in noise.

    Parameters
    ----------
    samples : Samples, shape (n,)
        The lead in millivolts; NaN where there is no signal.
    fs : float
        Sampling rate in hertz.
    lost : Stretches
        Where the lead is off, saturated or swinging.
    beats : array of int64
        Sorted R peaks in samples.
    qrs_mv : float
        Peak-to-peak amplitude of the QRS in millivolts.
    limits : Limits
        Limits of the checks.
    """
    mains = hum(samples, fs, limits)
    noisy = noise(samples, fs, lost, qrs_mv, mains.amplitude_mv if mains else 0.0, limits)
    unjudged = merged([lost, noisy.stretches]) if noisy else lost
    return Disturbances(
        wander(samples, fs, lost, limits),
        mains,
        spikes_per_minute(samples, fs, unjudged, beats, qrs_mv, limits),
        noisy,
    )
