"""Fit the weights of `ecgfl_cli.beats.qrs_second_look` again.

python tests/benchmarks/refit_second_look.py

The training data are the beats of the first look in mitdb DS1 and svdb, in the rhythm lead, after
the first five minutes, outside flutter. They are used as recorded, and (DS1 and every second record
of svdb) with the records bw and ma of nstdb added at several signal-to-noise ratios, alternately
two minutes on and two off, as in the records of nstdb. A beat with added noise has half the weight.
The rule for T waves is also fitted to the first leads of qtdb, and to T waves that are scaled by
two and three, which have a quarter of the weight. mitdb DS2 is not used. The program also prints a
cross-validation over four parts of the records: how many true and extra beats would be removed.
"""

from fractions import Fraction
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from ecgfl_adapters.discovery import read
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.wfdb.leads import WfdbOptions
from numpy.typing import NDArray
from real_data import DATA, DS1
from scipy.optimize import minimize
from scipy.signal import resample_poly

from ecgfl_cli.beats.aami import classify
from ecgfl_cli.beats.conditioning import condition
from ecgfl_cli.beats.detection import highest_near
from ecgfl_cli.beats.leads import choose_lead
from ecgfl_cli.beats.qrs_decision import first_look
from ecgfl_cli.beats.qrs_envelope import candidates
from ecgfl_cli.beats.qrs_second_look import (
    FOR_ALL,
    T_WAVE_FOR_ALL,
    T_WAVE_SECONDS,
    T_WAVE_WEIGHTS,
    WEIGHTS,
    evidence,
    t_wave_evidence,
)

FS = 128.0
LEARNING_SECONDS, ON_SECONDS, MATCH_SECONDS = 300, 120, 0.15
NOISES = (("bw", 12), ("bw", 6), ("bw", 0), ("ma", 18), ("ma", 12))
"""Record of nstdb, and dB. Muscle noise at 6 dB is not used: human readers have to guess, too."""

NOISY_COUNTS = 0.5
TALL, TALL_COUNTS = (2.0, 3.0), 0.25
RAMP_SECONDS, LONGEST_T_SECONDS = 0.05, 0.42
AFTER_QRS_SECONDS, BEFORE_QRS_SECONDS = 0.09, 0.08
LONGER_PVC_SECONDS = 0.05
"""How much later the QRS complex of a PVC ends, and how much sooner it begins."""

FOLDS = 4


class Examples(NamedTuple):
    """The examples of one record with one noise.

    Attributes
    ----------
    evidence
        Shape (n, 4), or (n, 2) for T waves.
    true
        Shape (n,), 1 for a beat and 0 for an extra detection.
    """

    evidence: NDArray[np.float64]
    true: NDArray[np.float64]
    counts: float
    fold: int


def noisy(
    signal: NDArray[np.float32], recording: Recording, name: str, decibels: float, seed: int
) -> NDArray[np.float32]:
    """Return the signal with noise.

    The signal-to-noise ratio is that of nstdb: an eighth of the squared median QRS height, divided
    by the power of the noise.
    """
    fs = recording.fs
    source = (
        read(
            DATA / "nstdb" / f"{name}.hea",
            "auto",
            ReadOptions(format_options=(WfdbOptions(assume_gain=True),)),
        )
        .leads[seed % 2]
        .samples
    )
    ratio = Fraction(fs / 360).limit_denominator(1000)
    noise = resample_poly(source.astype(np.float64), ratio.numerator, ratio.denominator)
    noise = np.resize(np.roll(noise, int(seed * 7919 * fs) % noise.size), signal.size)
    seconds = noise[: noise.size // int(fs) * int(fs)].reshape(-1, int(fs))
    power = np.mean((seconds - seconds.mean(axis=1, keepdims=True)) ** 2)
    reach = int(0.05 * fs)
    beats = [label.sample for label in recording.labels or () if classify(label.symbol) is not None]
    heights = [
        np.ptp(signal[at - reach : at + reach + 1])
        for at in beats
        if reach < at < signal.size - reach
    ]
    gain = np.median(heights) / np.sqrt(8 * power) / 10 ** (decibels / 20)
    times = np.arange(signal.size) / fs - LEARNING_SECONDS
    on = (times >= 0) & (times // ON_SECONDS % 2 == 0)
    return (signal + gain * noise * on).astype(np.float32)


def taller(
    conditioned: NDArray[np.float32], recording: Recording, times: float
) -> NDArray[np.float32]:
    """Return the signal with scaled T waves.

    Everything up to `LONGEST_T_SECONDS` after each QRS complex is multiplied by `times`.
    """
    labels = [label for label in recording.labels or () if classify(label.symbol) is not None]
    near = np.array([round(label.sample * FS / recording.fs) for label in labels])
    peaks = highest_near(conditioned, np.clip(near, 0, conditioned.size - 1), FS).tolist()
    longer = [LONGER_PVC_SECONDS if label.symbol in "VEF" else 0.0 for label in labels]
    gain = np.ones_like(conditioned)
    for index, peak in enumerate(peaks):
        start = peak + round((AFTER_QRS_SECONDS + longer[index]) * FS)
        last = index + 1 == len(peaks)
        stop = (
            conditioned.size
            if last
            else peaks[index + 1] - round((BEFORE_QRS_SECONDS + longer[index + 1]) * FS)
        )
        stop = min(stop, start + round(LONGEST_T_SECONDS * FS))
        ramp = round(RAMP_SECONDS * FS)
        if stop - start >= 3 * ramp:
            edge = np.hanning(2 * ramp)[:ramp]
            shape = np.concatenate((edge, np.ones(stop - start - 2 * ramp), edge[::-1]))
            gain[start:stop] += (times - 1) * shape
    return conditioned * gain


def examples(
    recording: Recording, conditioned: NDArray[np.float32], counts: float
) -> tuple[Examples, Examples]:
    """Return all beats of the first look, and those that could be the T wave of another beat."""
    humps = candidates(conditioned, FS)
    beats = first_look(humps, FS)
    times = highest_near(conditioned, humps.samples[beats], FS) / FS
    labels = recording.labels or ()
    named = (
        np.array(sorted(label.sample for label in labels if classify(label.symbol) is not None))
        / recording.fs
    )
    right = np.clip(np.searchsorted(named, times), 1, named.size - 1)
    nearest = np.where(times - named[right - 1] < named[right] - times, right - 1, right)
    apart = np.abs(times - named[nearest])
    order = np.lexsort((apart, nearest))
    closest = order[np.concatenate(([True], np.diff(nearest[order]) > 0))]
    true = np.zeros(times.size)
    true[closest[apart[closest] <= MATCH_SECONDS]] = 1
    judged = times >= LEARNING_SECONDS
    flutter = [
        [label.sample / recording.fs for label in labels if label.symbol == edge] for edge in "[]"
    ]
    for start, stop in zip(*flutter, strict=True):
        judged &= (times < start) | (times > stop)
    fold = crc32(recording.name.encode()) % FOLDS
    about_t = t_wave_evidence(humps[beats], FS)
    near = judged & (about_t[:, 1] < np.log(T_WAVE_SECONDS))
    return (
        Examples(evidence(humps, beats, FS)[judged], true[judged], counts, fold),
        Examples(about_t[near], true[near], counts, fold),
    )


def all_examples() -> tuple[list[Examples], list[Examples]]:
    """Return the examples for the weights of the second look, and for those of T waves."""
    every_beat, maybe_t = [], []
    sets = {"mitdb": DS1, "svdb": None, "qtdb": None}
    for folder, numbers in sets.items():
        paths = (
            [DATA / folder / f"{number}.hea" for number in numbers]
            if numbers
            else sorted((DATA / folder).glob("*.hea"))
        )
        for index, path in enumerate(paths):
            recording = read(
                path, "auto", ReadOptions(format_options=(WfdbOptions(assume_gain=True),))
            )
            signal = choose_lead(recording).samples
            conditioned = condition(signal, recording.fs, FS)
            some = folder != "svdb" or index % 2 == 0
            pairs = [examples(recording, conditioned, 1.0)]
            if some and folder != "qtdb":
                for number, (name, decibels) in enumerate(NOISES):
                    changed = condition(
                        noisy(signal, recording, name, decibels, index * 6 + number),
                        recording.fs,
                        FS,
                    )
                    pairs.append(examples(recording, changed, NOISY_COUNTS))
            maybe_t += [about_t for _, about_t in pairs]
            if some:
                maybe_t += [
                    examples(recording, taller(conditioned, recording, times), TALL_COUNTS)[1]
                    for times in TALL
                ]
            if folder != "qtdb":
                every_beat += [all_of_it for all_of_it, _ in pairs]
    return every_beat, maybe_t


def fit(parts: list[Examples]) -> NDArray[np.float64]:
    """Return the weights and, as the last value, the constant with the maximum likelihood."""
    columns = np.concatenate(
        [np.pad(part.evidence, ((0, 0), (0, 1)), constant_values=1.0) for part in parts]
    )
    true = np.concatenate([part.true for part in parts])
    counts = np.concatenate([np.full(part.true.size, part.counts) for part in parts])
    counts /= counts.sum()

    def loss(weights: NDArray[np.float64]) -> tuple[Any, Any]:
        score = columns @ weights
        slope = columns.T @ (counts * (1 / (1 + np.exp(-score)) - true))
        return counts @ (np.logaddexp(0, score) - true * score), slope

    return np.asarray(
        minimize(
            loss, np.zeros(columns.shape[1]), jac=True, method="L-BFGS-B", options={"ftol": 1e-13}
        ).x
    )


def report(title: str, parts: list[Examples], in_use: tuple[float, ...]) -> None:
    """Print fitted weights beside those in use, and the cross-validation."""
    fitted = fit(parts)
    print(title, "fitted", *np.round(fitted, 2), "in use", *np.round(in_use, 2))
    removed = np.zeros((2, 2), dtype=np.int64)
    for fold in range(FOLDS):
        weights = fit([part for part in parts if part.fold != fold])
        for part in parts:
            if part.fold == fold:
                goes = part.evidence @ weights[:-1] + weights[-1] + in_use[-1] - fitted[-1] < 0
                for true in (0, 1):
                    removed[true] += [
                        np.count_nonzero(goes[part.true == true]),
                        np.count_nonzero(part.true == true),
                    ]
    print(
        f"removed in cross-validation: {removed[0, 0]} of {removed[0, 1]} extra beats,"
        f" {removed[1, 0]} of {removed[1, 1]} true ones"
    )


def main() -> None:
    every_beat, maybe_t = all_examples()
    report("second look:", every_beat, (*WEIGHTS, FOR_ALL))
    report("T waves:", maybe_t, (*T_WAVE_WEIGHTS, T_WAVE_FOR_ALL))


if __name__ == "__main__":
    main()
