"""Compare the shape of a beat with the typical beat of its lead and with similar beats.

A bundle branch block, a pre-excitation, the electrodes' positions or the recorder give every beat
an unusual shape. The shape of a PVC differs from that of the record, and beats of that shape are
early and followed by a pause.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.beats.rr import on_time

BLOCK_BEATS = 2048
"""Beats of a block, about half an hour. Posture and electrodes change over a day."""

SAMPLED = 512
"""Number of beats, evenly spread, that represent a block."""

FEWEST_ON_TIME = 10
QRS_SECONDS = (-0.11, 0.20)
"""Part around the R peak in which shapes are compared, in seconds."""

ALIKE = 0.15
"""Distance at which two beats have the mutual weight exp(-1/2), as a share of the typical beat's
size."""

LIKENESS_FIELDS = (
    *("unusual", "departure", "correlation"),
    *(
        "previous_of_alike",
        "next_of_alike",
        "contrast_of_alike",
        "prematurity_of_alike",
        "share_of_alike",
        "distance",
    ),
)
SMALLEST = 1e-3
SHARE_SCALE = 3.0
FARTHEST = 4.0


def blocks(beats: int) -> list[slice]:
    """Return consecutive, nearly equal blocks of about BLOCK_BEATS beats."""
    edges = np.linspace(0, beats, max(1, round(beats / BLOCK_BEATS)) + 1).round().astype(np.int64)
    return [slice(int(start), int(stop)) for start, stop in pairwise(edges)]


def typical_beat(windows: NDArray[np.float32], rr: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median of the beats of a block that are on time, shape (window length,).

    Parameters
    ----------
    windows : array of float32, shape (n, window length)
        The beats; NaN where the signal has a gap.
    rr : array of float32
        As `rr_context` returns it.

    Returns
    -------
    array of float32
        Zeros if no beat is readable.
    """
    readable = np.asarray(~np.isnan(windows).any(axis=1))
    chosen = np.asarray(readable & on_time(rr))
    if chosen.sum() < max(FEWEST_ON_TIME, 0.1 * readable.sum()):
        chosen = readable
    if not chosen.any():
        return np.zeros(windows.shape[1], dtype=np.float32)
    return np.median(windows[_spread(chosen)], axis=0).astype(np.float32)


def likeness(
    windows: NDArray[np.float32],
    typical: NDArray[np.float32],
    rr: NDArray[np.float32],
    fs: float,
    before: int,
) -> NDArray[np.float32]:
    """Return features of the shapes of a block's beats, shape (n, len(LIKENESS_FIELDS)), float32.

    Parameters
    ----------
    windows : array of float32, shape (n, window length)
        The beats. An unreadable beat has zeros in the result.
    typical : array of float32, shape (window length,)
        The typical beat.
    rr : array of float32
        As `rr_context` returns it.
    fs : float
        Sampling rate of the windows in hertz.
    before : int
        Samples before the R peak.

    Notes
    -----
    unusual, departure : logarithm of the mean departure from the typical beat, against
    the block's median one and in itself; correlation : with the typical beat; *_of_alike : values
    of `rr_context`, averaged over similar beats (prematurity is the mean of |previous|), and their
    share of the block; distance : from the typical beat as a share of that beat's size.
    """
    features = np.zeros((len(windows), len(LIKENESS_FIELDS)), dtype=np.float32)
    readable = np.flatnonzero(~np.isnan(windows).any(axis=1))
    if not readable.size:
        return features
    start, stop = (before + round(seconds * fs) for seconds in QRS_SECONDS)
    shapes, usual, own = windows[readable, start:stop], typical[start:stop], rr[readable]
    departure = np.abs(shapes - usual).mean(axis=1)
    centred, usual_centred = shapes - shapes.mean(axis=1, keepdims=True), usual - usual.mean()
    size = np.sqrt((centred**2).sum(axis=1) * (usual_centred**2).sum())
    scaled = shapes / (np.sqrt((usual**2).sum()) + SMALLEST)
    distance = np.sqrt(((shapes - usual) ** 2).sum(axis=1) / ((usual**2).sum() + SMALLEST))
    values = np.concatenate((own[:, :3], np.abs(own[:, :1])), axis=1)
    alike, share = _of_alike(scaled, values)
    features[readable] = np.column_stack(
        (
            np.log((departure + SMALLEST) / (np.median(departure) + SMALLEST)),
            np.log(departure + 10 * SMALLEST),
            (centred @ usual_centred) / (size + SMALLEST),
            alike,
            share / SHARE_SCALE,
            np.minimum(distance, FARTHEST),
        )
    )
    return features


def _of_alike(
    shapes: NDArray[np.float32], values: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean of `values` over similar beats, and the logarithm of the share of these."""
    sampled = _spread(np.ones(len(shapes), dtype=bool))
    sizes = (shapes**2).sum(axis=1)
    apart = sizes[:, None] + sizes[sampled] - 2 * shapes @ shapes[sampled].T
    weight = np.exp(np.maximum(apart, 0) / (-2 * ALIKE**2))
    weight[sampled, np.arange(sampled.size)] = 0
    total = weight.sum(axis=1)
    mean = (weight @ values[sampled] + values) / (total + 1)[:, None]
    return mean, np.log((total + 0.5) / sampled.size)


def _spread(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the indices of at most SAMPLED of the chosen beats, evenly spread."""
    places = np.flatnonzero(chosen)
    return places[
        np.linspace(0, places.size - 1, min(places.size, SAMPLED)).round().astype(np.int64)
    ]
