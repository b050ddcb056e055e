"""Cut the beats that a model sees from the leads of a recording. Beats are cut nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ecgfl_adapters.recording import Lead, Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import BeatClass, NoClass, classify
from ecgfl_cli.beats.conditioning import condition
from ecgfl_cli.beats.detection import align, detect, highest_near, nearest
from ecgfl_cli.beats.likeness import LIKENESS_FIELDS, blocks, likeness, typical_beat
from ecgfl_cli.beats.mixtures import SMALLEST_MV, mixtures, typical_height
from ecgfl_cli.beats.recorder_noise import noise_of, worse_recorded
from ecgfl_cli.beats.rr import RR_FIELDS, known_intervals, rr_context
from ecgfl_cli.beats.window import Window

CONTEXT_FIELDS = (*RR_FIELDS, *LIKENESS_FIELDS)
MATCH_SECONDS = 0.15
"""Largest distance of a detection from the label of its beat: EC57's match window."""

LABELLED_SECONDS = 2.5
"""Between two labels at most this far apart, every beat has a label. Longer stretches may be
unannotated, or ventricular flutter."""

MOST_NOISE = 0.15
"""Largest noise of a readable beat, in typical R peaks. One in a thousand beats of DS1 and svdb has
more, and 3 of 5,543 detected PVCs; with muscle noise of nstdb at 0 dB in half of the time, one in
ten."""

LARGEST = 8.0
"""Largest deflection in typical R peaks. A larger one is an artefact, whose size means nothing."""


FLAT, SWINGING = 0.05, 0.75
"""A window whose peak-to-peak amplitude is below FLAT times the SWINGING quantile of its block
shows a lead that is off, while another lead had beats there."""


@dataclass(frozen=True)
class Beats:
    """The beats of one lead, in order.

    Attributes
    ----------
    samples : array of int64, shape (n,)
        R peaks in samples of the recording.
    windows : array of float32, shape (n, window.length)
        Signal around each R peak, in units of the lead's typical R peak nearby; NaN where the
        signal has a gap, ends or is flat.
    typical : array of float32, shape (b, window.length)
        Typical beat of each block of the recording, in the same unit.
    block : array of int64, shape (n,)
        Index of each beat's block.
    noise : array of float32, shape (n,)
        Noise in the same unit, see `noise_of`; NaN for an incomplete window.
    context : array of float32, shape (n, len(CONTEXT_FIELDS))
        See `rr_context` and `likeness`.
    classes : array of int8, shape (n,)
        `BeatClass` or `NoClass`.
    symbols : tuple of str
        n symbols as annotated; "" for an unlabelled beat.
    """

    samples: NDArray[np.int64]
    windows: NDArray[np.float32]
    typical: NDArray[np.float32]
    block: NDArray[np.int64]
    noise: NDArray[np.float32]
    context: NDArray[np.float32]
    classes: NDArray[np.int8]
    symbols: tuple[str, ...]

    @property
    def departures(self) -> NDArray[np.float32]:
        """Difference of each beat from the typical beat nearby, shape (n, window.length).

        The effects of a bundle branch block, of the electrodes' positions and of the recorder on
        every beat cancel.
        """
        return self.windows - self.typical[self.block]

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Which beats have a complete window that is not mainly noise, shape (n,)."""
        return np.asarray(self.noise <= MOST_NOISE)

    def __len__(self) -> int:
        """Return the number of beats."""
        return int(self.samples.size)

    def take(self, chosen: NDArray[np.int64]) -> "Beats":
        """Return the beats at some indices, in this order."""
        return replace(
            self,
            samples=self.samples[chosen],
            windows=self.windows[chosen],
            block=self.block[chosen],
            noise=self.noise[chosen],
            context=self.context[chosen],
            classes=self.classes[chosen],
            symbols=tuple(self.symbols[index] for index in chosen),
        )


def annotated_beats(recording: Recording, leads: Sequence[Lead], window: Window) -> list[Beats]:
    """Cut the labelled beats of a recording, and beats detected with added noise.

    The labelled beats are cut in each lead and in the mixed leads of `mixtures`. In each lead with
    the noise of `worse_recorded`, the detected beats are cut; some are missed there, and some
    detections are not beats.

    Parameters
    ----------
    recording : Recording
        The recording. Labels outside the signal are ignored; of two within the refractory time, a
        lead keeps the larger.
    leads : sequence of Lead
        Its leads.
    window : Window
        What a model sees of a beat.

    Returns
    -------
    list of Beats
        Of the leads, the mixed leads and the leads with noise.
    """
    labels = [
        label
        for label in recording.labels or ()
        if classify(label.symbol) is not None and 0 <= label.sample < recording.length
    ]
    named = np.array(
        [round(label.sample * window.fs / recording.fs) for label in labels], dtype=np.int64
    )
    conditioned = [condition(lead.samples, recording.fs, window.fs) for lead in leads]
    peaks = [align(signal, named, window.fs) for signal in conditioned]
    mixed = mixtures(conditioned, peaks)
    peaks += [align(signal, named, window.fs) for signal in mixed]
    cut = []
    for signal, places in zip((*conditioned, *mixed), peaks, strict=True):
        symbols = tuple(labels[index].symbol for index in nearest(named, places))
        cut.append(
            _cut(
                signal,
                places,
                places,
                _rr(places, signal, window.fs),
                symbols,
                recording.fs,
                window,
            )
        )
    for number, (signal, places) in enumerate(zip(conditioned, peaks, strict=False)):
        noisy = worse_recorded(signal, places, window.fs, seed=number)
        detected = detect(noisy, window.fs)
        matched = _labels_of(detected, named, window.fs)
        symbols = tuple(labels[index].symbol if index >= 0 else "" for index in matched)
        beats = _cut(
            noisy,
            detected,
            detected,
            _rr(detected, noisy, window.fs),
            symbols,
            recording.fs,
            window,
        )
        cut.append(
            replace(
                beats,
                classes=np.where(
                    matched == NoClass.NOT_A_BEAT, NoClass.NOT_A_BEAT, beats.classes
                ).astype(np.int8),
            )
        )
    return cut


def detected_beats(recording: Recording, leads: Sequence[Lead], window: Window) -> list[Beats]:
    """Detect the beats in the first lead, and cut them in every lead.

    Returns
    -------
    list of Beats
        The same beats in the same order, for each lead.
    """
    first, *others = leads
    signal = condition(first.samples, recording.fs, window.fs)
    times = detect(signal, window.fs)
    symbols = ("",) * times.size
    rr = _rr(times, signal, window.fs)
    cut = [_cut(signal, times, times, rr, symbols, recording.fs, window)]
    for lead in others:
        signal = condition(lead.samples, recording.fs, window.fs)
        cut.append(
            _cut(
                signal,
                highest_near(signal, times, window.fs),
                times,
                rr,
                symbols,
                recording.fs,
                window,
            )
        )
    return cut


def _cut(
    conditioned: NDArray[np.float32],
    peaks: NDArray[np.int64],
    times: NDArray[np.int64],
    rr: NDArray[np.float32],
    symbols: tuple[str, ...],
    fs: float,
    window: Window,
) -> Beats:
    """Cut a window around each peak of a lead.

    Parameters
    ----------
    conditioned : array of float32
        The conditioned lead.
    peaks, times : array of int64, shape (n,)
        R peaks in this lead, and positions of the beats, in samples of the conditioned lead.
    rr : array of float32, shape (n, len(RR_FIELDS))
        `rr_context` of the beats.
    symbols : tuple of str
        Label of each beat, or "".
    fs : float
        Sampling rate of the recording in hertz.
    window : Window
        What a model sees of a beat.
    """
    windows = _windows(conditioned, peaks, window)
    parts = blocks(peaks.size)
    typical = np.empty((len(parts), window.length), dtype=np.float32)
    block = np.empty(peaks.size, dtype=np.int64)
    alike = np.empty((peaks.size, len(LIKENESS_FIELDS)), dtype=np.float32)
    for place, part in enumerate(parts):
        around = windows[part]
        around[_flat(around)] = np.nan
        around /= typical_height(around[:, window.before])
        np.clip(around, -LARGEST, LARGEST, out=around)
        typical[place], block[part] = typical_beat(around, rr[part]), place
        alike[part] = likeness(around, typical[place], rr[part], window.fs, window.before)
    return Beats(
        samples=np.rint(times * fs / window.fs).astype(np.int64),
        windows=windows,
        typical=typical,
        block=block,
        noise=noise_of(windows, window.fs),
        context=np.concatenate((rr, alike), axis=1),
        classes=np.array(
            [NoClass.UNLABELLED if not symbol else _class_of(symbol) for symbol in symbols],
            dtype=np.int8,
        ),
        symbols=symbols,
    )


def _rr(times: NDArray[np.int64], signal: NDArray[np.float32], fs: float) -> NDArray[np.float32]:
    return rr_context(times, fs, known_intervals(times, signal, fs))


def _class_of(symbol: str) -> BeatClass:
    beat_class = classify(symbol)
    if beat_class is None:
        raise ValueError(f"'{symbol}' is not the symbol of a beat")
    return beat_class


def _labels_of(
    detected: NDArray[np.int64], named: NDArray[np.int64], fs: float
) -> NDArray[np.int64]:
    """Return the index of each detection's label, shape (n,).

    NOT_A_BEAT if labels are close and none is that of the detection, else UNLABELLED.
    """
    if not named.size or not detected.size:
        return np.full(detected.size, NoClass.UNLABELLED)
    closest_label = nearest(named, detected)
    apart = np.abs(named[closest_label] - detected)
    order = np.lexsort((apart, closest_label))
    closest = order[np.concatenate(([True], np.diff(closest_label[order]) > 0))]
    matched = closest[apart[closest] <= MATCH_SECONDS * fs]
    behind = np.searchsorted(named, detected)
    inside = (behind > 0) & (behind < named.size)
    between = np.zeros(detected.size, dtype=np.bool_)
    between[inside] = named[behind[inside]] - named[behind[inside] - 1] <= LABELLED_SECONDS * fs
    labels = np.where(between, NoClass.NOT_A_BEAT, NoClass.UNLABELLED)
    labels[matched] = closest_label[matched]
    return labels


def _windows(
    conditioned: NDArray[np.float32], peaks: NDArray[np.int64], window: Window
) -> NDArray[np.float32]:
    padded = np.pad(conditioned, (window.before, window.after), constant_values=np.nan)
    return np.asarray(
        np.lib.stride_tricks.sliding_window_view(padded, window.length)[peaks], dtype=np.float32
    )


def _flat(windows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which windows of a block show no beat of this lead, shape (n,)."""
    swing = np.ptp(windows, axis=1)
    known = swing[~np.isnan(swing)]
    least = (
        max(FLAT * float(np.quantile(known, SWINGING)), SMALLEST_MV) if known.size else SMALLEST_MV
    )
    return np.asarray(swing < least)
