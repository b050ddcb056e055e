"""From one lead of a recording to the beats a model sees. The only place where a beat is cut."""

from dataclasses import dataclass

import numpy as np
from ecgfl_adapters.recording import BeatLabel, Lead, Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import BeatClass, classify
from ecgfl_cli.beats.conditioning import condition
from ecgfl_cli.beats.detection import align, detect
from ecgfl_cli.beats.rr import rr_context
from ecgfl_cli.beats.window import Window

TYPICAL_FROM = 2000
"""Beats that the typical one is taken from: half an hour's; a median of more hardly differs and costs time."""

UNKNOWN = -1
"""Class of a beat that nobody has labelled."""

SMALLEST_SCALE_MV = 0.01
"""A lead whose typical R peak is lower shows no QRS; it is not blown up to look like one."""


@dataclass(frozen=True)
class Beats:
    """The beats of one lead, in order.

    samples : shape (n,), int64, R peaks in samples of the recording.
    windows : shape (n, window.length), float32, in units of the lead's typical R peak; NaN where the signal has a gap or ends.
    typical : shape (window.length,), float32, same unit: the record's own typical beat, sample by sample the median.
    rr : shape (n, 3), float32, seconds: see `rr_context`.
    classes : shape (n,), int8, `BeatClass` or UNKNOWN.
    symbols : n symbols as annotated, "" for an unlabelled beat.
    """

    samples: NDArray[np.int64]
    windows: NDArray[np.float32]
    typical: NDArray[np.float32]
    rr: NDArray[np.float32]
    classes: NDArray[np.int8]
    symbols: tuple[str, ...]

    @property
    def departures(self) -> NDArray[np.float32]:
        """How each beat departs from the record's typical one, shape (n, window.length): what a bundle branch block, the
        electrodes' place or the recorder do to every beat cancels."""
        return self.windows - self.typical

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Beats whose whole window holds signal."""
        return np.asarray(~np.isnan(self.windows).any(axis=1))


def annotated_beats(recording: Recording, lead: Lead, window: Window) -> Beats:
    """Cut the beats that the recording's labels name; a label outside the signal is left out."""
    labels = [
        label for label in recording.labels or () if classify(label.symbol) is not None and 0 <= label.sample < recording.length
    ]
    return _cut(recording.fs, lead, window, labels)


def detected_beats(recording: Recording, lead: Lead, window: Window) -> Beats:
    """Find the beats in the signal alone and cut them."""
    return _cut(recording.fs, lead, window, None)


def _cut(fs: float, lead: Lead, window: Window, labels: list[BeatLabel] | None) -> Beats:
    conditioned = condition(lead.samples, fs, window.fs)
    if labels is None:
        peaks = detect(conditioned, window.fs)
        symbols: tuple[str, ...] = ("",) * peaks.size
    else:
        named = np.array([round(label.sample * window.fs / fs) for label in labels], dtype=np.int64)
        peaks = align(conditioned, named, window.fs)
        symbols = tuple(labels[index].symbol for index in _nearest(named, peaks))
    classes = np.array([UNKNOWN if not symbol else _class_of(symbol) for symbol in symbols], dtype=np.int8)
    windows = _windows(conditioned, peaks, window) / _scale(conditioned, peaks)
    return Beats(
        samples=np.rint(peaks * fs / window.fs).astype(np.int64),
        windows=windows,
        typical=_typical(windows),
        rr=rr_context(peaks, window.fs),
        classes=classes,
        symbols=symbols,
    )


def _class_of(symbol: str) -> BeatClass:
    beat_class = classify(symbol)
    if beat_class is None:
        raise ValueError(f"'{symbol}' is no beat")
    return beat_class


def _nearest(positions: NDArray[np.int64], peaks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the position closest to each peak."""
    right = np.clip(np.searchsorted(positions, peaks), 0, positions.size - 1)
    left = np.clip(right - 1, 0, None)
    return np.where(np.abs(positions[left] - peaks) <= np.abs(positions[right] - peaks), left, right)


def _windows(conditioned: NDArray[np.float32], peaks: NDArray[np.int64], window: Window) -> NDArray[np.float32]:
    padded = np.pad(conditioned, (window.before, window.after), constant_values=np.nan)
    return np.asarray(padded[peaks[:, None] + np.arange(window.length)], dtype=np.float32)


def _typical(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median beat; of a long recording from beats spread evenly over it. Zeros where no beat is readable."""
    readable = windows[~np.isnan(windows).any(axis=1)]
    if not len(readable):
        return np.zeros(windows.shape[1], dtype=np.float32)
    spread = np.linspace(0, len(readable) - 1, min(len(readable), TYPICAL_FROM)).round().astype(np.int64)
    return np.median(readable[spread], axis=0).astype(np.float32)


def _scale(conditioned: NDArray[np.float32], peaks: NDArray[np.int64]) -> float:
    """The lead's typical R peak in millivolts: robust against single beats, so that gain and electrode distance cancel."""
    heights = np.abs(conditioned[peaks])
    heights = heights[~np.isnan(heights)]
    return max(float(np.median(heights)), SMALLEST_SCALE_MV) if heights.size else 1.0
