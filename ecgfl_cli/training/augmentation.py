"""Beats as other recorders, electrodes and detectors would have shown them."""

from typing import TYPE_CHECKING

import numpy as np

from ecgfl_cli.beats.recorder_noise import MODELS, recorder_noise
from ecgfl_cli.models.architecture import BeatInput

if TYPE_CHECKING:
    from torch import Generator, Tensor

SHIFT_SAMPLES = 2
"""How far a detector may place the R peak elsewhere."""

STRETCH = 0.1
"""Standard deviation of the logarithm of the time scale: QRS complexes last longer in one heart than in another. (Mean log loss
of records, patients held out of training: 0.325 to 0.292 with one lead, 0.221 to 0.204 with both; a seed moves it by 0.015.)"""

GAIN = 0.15
"""Standard deviation of the logarithm of the gain; every second beat is also turned over, as an electrode swap does."""

SMOOTHING = 0.3
"""Largest share of a sample that goes to its neighbours: recorders differ in their low-pass filters."""

NOISE = 0.3
"""Largest standard deviation of the noise, in typical R peaks."""

RR_JITTER, RATE_JITTER = 0.03, 0.15
RATE_COLUMN = 4

NOISE_SAMPLES = 1 << 17

MIXING = 0.2
"""Parameter of mixup's Beta distribution. With it F1 on patients held out of training rose from 91.6 to 92.0, and logits are
worth about what they say."""


def noise_tapes(seed: int) -> "Tensor":
    """Baseline wander and muscle noise, shape (2, NOISE_SAMPLES), float32, of unit variance."""
    import torch

    random = np.random.default_rng(seed)
    return torch.from_numpy(
        np.stack([recorder_noise(kind, NOISE_SAMPLES, random) for kind in MODELS])
    )


def augmented(
    inputs: "dict[BeatInput, Tensor]", r_peak: int, noise: "Tensor", random: "Generator"
) -> "dict[BeatInput, Tensor]":
    """The same beats, each changed in its own way.

    inputs : windows and departures, shape (n, window length), and context, shape (n, fields). r_peak : its place in a window.
    noise : of `noise_tapes`.
    """
    import torch

    windows, context = inputs["windows"], inputs["context"]
    typical = windows - inputs["departures"]
    beats, length = windows.shape
    scale = torch.exp(STRETCH * torch.randn(beats, 1, generator=random))
    windows, typical = (_stretched(signal, r_peak, scale) for signal in (windows, typical))
    shift = torch.randint(-SHIFT_SAMPLES, SHIFT_SAMPLES + 1, (beats, 1), generator=random)
    windows = windows.gather(1, (torch.arange(length) + shift).clamp(0, length - 1))
    polarity = 1 - 2 * torch.randint(0, 2, (beats, 1), generator=random)
    gain = polarity * torch.exp(GAIN * torch.randn(beats, 1, generator=random))
    start = torch.randint(0, noise.shape[1] - length, (beats, 1), generator=random)
    kind = torch.randint(0, len(noise), (beats, 1), generator=random)
    heard = noise[kind, start + torch.arange(length)] * (
        NOISE * torch.rand(beats, 1, generator=random)
    )
    share = SMOOTHING * torch.rand(beats, 1, generator=random)
    windows, typical = _smoothed(windows * gain + heard, share), _smoothed(typical * gain, share)
    context = context + RR_JITTER * torch.randn(context.shape, generator=random)
    context[:, RATE_COLUMN] += RATE_JITTER * torch.randn(beats, generator=random)
    return {"windows": windows, "departures": windows - typical, "context": context}


def mixed(
    inputs: "dict[BeatInput, Tensor]", target: "Tensor", kinds: int, random: "Generator"
) -> "tuple[dict[BeatInput, Tensor], Tensor]":
    """Weighted means of each beat and another one, and of what they are (mixup: Zhang et al., ICLR 2018).

    target : shape (n,), below `kinds`. The returned one has shape (n, kinds), the shares of each.
    """
    import torch
    from torch.nn.functional import one_hot

    # torch draws from a Beta distribution without a generator of one's own.
    drawn = np.random.default_rng(int(torch.randint(0, 1 << 31, (1,), generator=random))).beta(
        MIXING, MIXING, len(target)
    )
    share = torch.from_numpy(drawn.astype(np.float32))[:, None]
    other = torch.randperm(len(target), generator=random)

    def mix(values: "Tensor") -> "Tensor":
        return share * values + (1 - share) * values[other]

    return {name: mix(values) for name, values in inputs.items()}, mix(
        one_hot(target, kinds).float()
    )


def _stretched(signal: "Tensor", r_peak: int, scale: "Tensor") -> "Tensor":
    """Each beat read `scale` times as fast, the R peak at its place: linear between samples, the ends held."""
    import torch

    last = signal.shape[1] - 1
    place = ((torch.arange(last + 1) - r_peak) * scale + r_peak).clamp(0, last)
    before = place.long().clamp(max=last - 1)
    share = place - before
    return signal.gather(1, before) * (1 - share) + signal.gather(1, before + 1) * share


def _smoothed(signal: "Tensor", share: "Tensor") -> "Tensor":
    """Each sample gives `share` of itself to its two neighbours."""
    from torch.nn.functional import pad

    wide = pad(signal, (1, 1), mode="replicate")
    return (1 - share) * signal + share / 2 * (wide[:, :-2] + wide[:, 2:])
