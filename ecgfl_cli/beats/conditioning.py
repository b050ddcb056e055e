"""Prepare a lead for detection and for a model: band-pass and resample it, and keep its gaps.

Band-pass and change of rate are one step in the frequency domain, in overlapping blocks
("overlap-save"; Oppenheim & Schafer, Discrete-Time Signal Processing, section 8.7): apart from its
input and output, a week needs no more memory than an hour.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from ecgfl_adapters.samples import Samples, stretches
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import ZoomFFT

BAND_HZ = (0.5, 40.0)
"""Pass band in hertz: the QRS without baseline wander and muscle noise, as in IEC 60601-2-47."""

SHORTEST_SECONDS = 1.0
"""A shorter piece between two gaps cannot contain a beat with its neighbours, and becomes a gap."""

LARGEST_MV = 10_000.0
"""Largest distance from the lead's median. No amplifier reaches 10 V, so a value beyond is invalid
and becomes a gap."""

LARGEST_DEVIATIONS = 10_000.0
"""The same for a lead in another unit, in median absolute deviations."""

JUDGED_FROM = 10_000
"""Number of samples, evenly spread, from which median and deviation are computed."""

LARGEST_NUMBER = 1e30
"""Largest value in any unit. A transform of many larger ones exceeds the range of float32."""

BLOCK_SECONDS = 128.0
"""Output of a block in seconds. At 128 Hz its transforms are the fastest; longer ones exceed the
processor's cache."""

MARGIN_SECONDS = 8.0
"""Overlap at each side of a block. The filter's response decays like exp(-2.2 t), to 2e-8 in this
time."""

AT_A_TIME = 1 << 20
"""Samples that are transformed at a time."""

LARGEST_TERM, LARGEST_DRIFT = 20_000, 1e-9
"""Largest terms of a fraction that approximates the ratio of two rates, and its largest relative
error (a hundredth of a sample in a day). With such a fraction, a block has a whole number of
samples at both rates."""


def pieces(samples: Samples, centre: float = 0.0, largest: float = math.inf) -> list[slice]:
    """Return the parts of a lead with finite values that are nearer than `largest` to `centre`."""
    parts = stretches(
        samples.size, lambda part: np.abs(samples[part] - np.float32(centre)) < largest
    )
    return [slice(start, stop) for start, stop in parts]


def condition(samples: Samples, fs: float, target_fs: float) -> NDArray[np.float32]:
    """Band-pass and resample one lead, piece by piece between its gaps.

    The filter is a second-order Butterworth filter run forwards and backwards. A piece is mirrored
    at its ends.

    Parameters
    ----------
    samples : Samples, shape (n,)
        The lead in millivolts; NaN in gaps.
    fs, target_fs : float
        Sampling rates of the input and the output in hertz.

    Returns
    -------
    array of float32, shape (round(n * target_fs / fs),)
        The lead in millivolts. Sample k is at k / target_fs seconds. It is NaN if the input's
        nearest sample is in a gap or outside the recording.
    """
    conditioned = np.full(round(samples.size * target_fs / fs), np.nan, dtype=np.float32)
    if 0.45 * min(fs, target_fs) <= BAND_HZ[0]:
        return conditioned
    for piece in pieces(samples, *_plausible(samples)):
        if piece.stop - piece.start < SHORTEST_SECONDS * fs:
            continue
        # Output samples whose nearest input sample is in the piece, so that no beat is moved into a
        # gap. A millionth allows for rounding.
        first = max(0, math.ceil((piece.start - 0.5) * target_fs / fs + 1e-6))
        last = min(conditioned.size, math.ceil((piece.stop - 0.5) * target_fs / fs - 1e-6))
        for start, part in _blocks(samples, piece, fs, target_fs, first, last):
            conditioned[start : start + part.size] = part
    return conditioned


def _plausible(samples: Samples) -> tuple[float, float]:
    """Return the lead's median, and the largest distance from it of a valid value."""
    judged = samples[:: samples.size // JUDGED_FROM + 1]
    judged = judged[np.abs(judged) < LARGEST_NUMBER].astype(np.float64)
    if not judged.size:
        return 0.0, LARGEST_MV
    centre = float(np.median(judged))
    deviation = float(np.median(np.abs(judged - centre)))
    return centre, min(max(LARGEST_MV, LARGEST_DEVIATIONS * deviation), LARGEST_NUMBER)


def _blocks(
    samples: Samples, piece: slice, fs: float, target_fs: float, first: int, last: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the output samples [first, last) of a piece, block by block, with their positions."""
    block = _block(fs, target_fs, min(last - first, round(BLOCK_SECONDS * target_fs)))
    starts = np.arange(
        (first - block.margin) // block.step * block.step, last - block.margin, block.hop
    )
    for some in np.array_split(
        starts, min(starts.size, math.ceil(starts.size * block.taken / AT_A_TIME))
    ):
        places = some * (fs / target_fs) - piece.start
        rows = np.stack([_mirrored(samples, piece, round(place), block.taken) for place in places])
        rows -= rows.mean(axis=1, keepdims=True)
        for start, row in zip(
            some.tolist(), block.apply(rows, places - np.rint(places)), strict=True
        ):
            begin, end = (
                max(first, start + block.margin),
                min(last, start + block.margin + block.hop),
            )
            yield begin, row[begin - start : end - start]


def _mirrored(samples: Samples, piece: slice, start: int, length: int) -> NDArray[np.float32]:
    """Return `length` samples of a piece from `start`, mirrored beyond its ends."""
    inside: NDArray[np.float32] = samples[
        piece.start + max(start, 0) : min(piece.start + start + length, piece.stop)
    ]
    before = max(-start, 0)
    return (
        np.pad(inside, (before, length - before - inside.size), mode="symmetric")
        if inside.size < length
        else inside
    )


@dataclass(frozen=True)
class _Block:
    """How a part of the input becomes a part of the output.

    Attributes
    ----------
    taken, given : int
        Numbers of input and output samples.
    step : int
        A block that begins at a multiple of this output sample begins at an input sample.
    margin : int
        Output samples at each end that are wrong.
    hop : int
        Output samples from block to block, a multiple of `step`.
    gain : array of float32, shape (bins,)
        Factor of each bin of the input's spectrum.
    zoom : ZoomFFT or None
        Transform of the spectrum to the output; None if both parts have the same duration and the
        usual transform works.
    """

    taken: int
    given: int
    step: int
    margin: int
    hop: int
    gain: NDArray[np.float32]
    zoom: ZoomFFT | None

    def apply(self, rows: NDArray[np.float32], shifts: NDArray[np.float64]) -> NDArray[np.float32]:
        """Transform rows of shape (m, taken) to rows of shape (m, given).

        The output begins `shifts`, shape (m,), input samples later.
        """
        spectrum = rfft(rows, axis=1)[:, : self.gain.size] * self.gain
        if self.zoom is None:
            return np.asarray(irfft(spectrum, n=self.given, axis=1))
        turns = shifts[:, None] / self.taken * np.arange(self.gain.size)
        return np.asarray(
            self.zoom(np.conj(spectrum * np.exp(2j * np.pi * turns))).real, dtype=np.float32
        )


@lru_cache(maxsize=64)
def _block(fs: float, target_fs: float, outputs: int) -> _Block:
    """Return a block for that many output samples at a time."""
    ratio = Fraction(target_fs / fs).limit_denominator(LARGEST_TERM)
    in_step = abs(float(ratio) * fs / target_fs - 1) <= LARGEST_DRIFT and _is_fast(
        ratio.numerator * ratio.denominator
    )
    step = ratio.numerator if in_step else 1
    margin = math.ceil(MARGIN_SECONDS * target_fs)
    needed = outputs + 2 * margin + 2 * step
    if in_step:
        repeats = next_fast_len(math.ceil(needed / step), real=True)
        taken, given = repeats * ratio.denominator, repeats * step
    else:
        taken = next_fast_len(math.ceil(needed * fs / target_fs), real=True)
        given = math.floor(taken * target_fs / fs)
    hertz = np.arange(taken // 2 + 1) * (fs / taken)
    hertz = hertz[hertz < 0.5 * min(fs, target_fs)]
    gain = _gain(hertz, min(fs, target_fs))
    return _Block(
        taken=taken,
        given=given,
        step=step,
        margin=margin,
        hop=(given - 2 * margin) // step * step,
        gain=(gain * (given if in_step else 2) / taken).astype(np.float32),
        zoom=None if in_step else ZoomFFT(hertz.size, given * fs / taken, given, fs=target_fs),
    )


def _is_fast(length: int) -> bool:
    """Whether a length has only small prime factors; others make the transform slow."""
    return int(next_fast_len(length)) == length


def _gain(hertz: NDArray[np.float64], fs: float) -> NDArray[np.float64]:
    """Return the gain of a second-order Butterworth band-pass, forwards and backwards.

    Parameters
    ----------
    hertz : array of float64
        Frequencies.
    fs : float
        Sampling rate of the filter (bilinear transform).
    """
    low, high = (math.tan(math.pi * edge / fs) for edge in (BAND_HZ[0], min(BAND_HZ[1], 0.45 * fs)))
    warped = np.tan(np.pi * hertz[1:] / fs)
    return np.concatenate(
        ([0.0], 1 / (1 + ((warped**2 - low * high) / (warped * (high - low))) ** 4))
    )
