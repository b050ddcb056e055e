"""Count ectopy in classified beats: burden, couplets, runs, bigeminy and trigeminy."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from ecgfl_adapters.recording import Gap
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import BeatClass, classify_all

# One letter a beat: V, Q, and N for everything else. A pattern never spans a Q or a gap.
_COUPLET = re.compile(r"(?<!V)VV(?!V)")
_RUN = re.compile(r"V{3,}")
_BIGEMINY = re.compile(r"(?:NV){3,}(?!V)")
_TRIGEMINY = re.compile(r"(?:NNV){3,}(?!V)")


@dataclass(frozen=True)
class Ectopy:
    """Ventricular ectopy of one recording.

    Attributes
    ----------
    beats
        All detected beats, the unclassified ones included.
    pvcs
        Beats of class V.
    unclassified
        Beats of class Q. A run or pattern is never counted across one.
    burden_percent
        PVCs in the classified beats; None without any.
    pvcs_per_hour
        Over the analysed time; None when that is 0.
    couplets
        Exactly two consecutive PVCs.
    runs
        Three or more, the convention for non-sustained ventricular tachycardia whatever its rate.
    longest_run_beats
        0 without a run.
    longest_run_per_minute, fastest_run_per_minute
        Mean rate within the longest run (the first of equals) and within the fastest; None without
        a run.
    bigeminy_episodes, trigeminy_episodes
        Three or more successive cycles of one (two) other beats followed by a single PVC, as
        bedside monitors define them (Welch Allyn Acuity and Mindray V Series user manuals,
        arrhythmia events).
    analysed_seconds
        Time with signal.
    mean_heart_rate
        Beats per minute from the mean RR interval, gaps left out; None without an interval.
    """

    beats: int
    pvcs: int
    unclassified: int
    burden_percent: float | None
    pvcs_per_hour: float | None
    couplets: int
    runs: int
    longest_run_beats: int
    longest_run_per_minute: float | None
    fastest_run_per_minute: float | None
    bigeminy_episodes: int
    trigeminy_episodes: int
    analysed_seconds: float
    mean_heart_rate: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def summarise(
    samples: NDArray[np.int64],
    classes: Sequence[str] | NDArray[np.str_] | NDArray[np.integer[Any]],
    fs: float,
    analysed_s: float,
    gaps: Sequence[Gap] = (),
) -> Ectopy:
    """Count the ectopy in n beats.

    Parameters
    ----------
    samples
        Shape (n,), R peaks, increasing.
    classes
        One WFDB symbol or `BeatClass` value per R peak.
    fs
        Sampling rate in hertz.
    analysed_s
        Seconds of signal, gaps left out.
    gaps
        Stretches without signal, in the same samples.

    Raises
    ------
    ValueError
        For beats out of order, for a symbol that is no beat, and when the two lists differ in
        length.
    """
    samples = np.asarray(samples, dtype=np.int64)
    codes = _codes(classes)
    if samples.shape != codes.shape:
        raise ValueError(f"{samples.size} samples need as many classes, got {codes.size}")
    if np.any(np.diff(samples) <= 0):
        raise ValueError("beats must be in order of time, each at a sample of its own")
    broken = _broken(samples, gaps)
    pvcs, unclassified = int(np.sum(codes == BeatClass.V)), int(np.sum(codes == BeatClass.Q))
    classified = samples.size - unclassified
    letters = np.where(codes == BeatClass.V, "V", np.where(codes == BeatClass.Q, "Q", "N"))
    stretches = list(_stretches(letters, broken))
    runs = [
        samples[first + found.start() : first + found.end()]
        for first, text in stretches
        for found in _RUN.finditer(text)
    ]
    rates = [60.0 * fs * (run.size - 1) / float(run[-1] - run[0]) for run in runs]
    longest = max(range(len(runs)), key=lambda place: runs[place].size, default=None)
    intervals = np.diff(samples)[~broken]
    return Ectopy(
        beats=int(samples.size),
        pvcs=pvcs,
        unclassified=unclassified,
        burden_percent=100.0 * pvcs / classified if classified else None,
        pvcs_per_hour=3600.0 * pvcs / analysed_s if analysed_s > 0 else None,
        couplets=_count(_COUPLET, stretches),
        runs=len(runs),
        longest_run_beats=0 if longest is None else int(runs[longest].size),
        longest_run_per_minute=None if longest is None else rates[longest],
        fastest_run_per_minute=max(rates, default=None),
        bigeminy_episodes=_count(_BIGEMINY, stretches),
        trigeminy_episodes=_count(_TRIGEMINY, stretches),
        analysed_seconds=float(analysed_s),
        mean_heart_rate=60.0 * fs / float(intervals.mean()) if intervals.size else None,
    )


def _codes(
    classes: Sequence[str] | NDArray[np.str_] | NDArray[np.integer[Any]],
) -> NDArray[np.int8]:
    values = np.asarray(classes)
    codes = (
        values.astype(np.int8)
        if values.dtype.kind in "iu"
        else classify_all(values.astype(np.str_))
    )
    unknown = (codes < min(BeatClass)) | (codes > max(BeatClass))
    if unknown.any():
        raise ValueError(
            f"{values[unknown][0]!s} is no class of beats, expected one of "
            f"{[member.name for member in BeatClass]}"
        )
    return codes


def _broken(samples: NDArray[np.int64], gaps: Sequence[Gap]) -> NDArray[np.bool_]:
    """Shape (n - 1,): whether a gap lies between a beat and the next."""
    broken = np.zeros(max(samples.size - 1, 0), dtype=np.bool_)
    for gap in gaps:
        before = int(np.searchsorted(samples, gap.start, side="left")) - 1
        after = int(np.searchsorted(samples, gap.stop, side="left"))
        broken[max(before, 0) : after] = True
    return broken


def _stretches(letters: NDArray[np.str_], broken: NDArray[np.bool_]) -> Iterator[tuple[int, str]]:
    """Return the stretches between gaps: index of the first beat, and the letters of all."""
    edges = [0, *(np.flatnonzero(broken) + 1).tolist(), letters.size]
    for first, stop in pairwise(edges):
        yield first, "".join(letters[first:stop])


def _count(pattern: re.Pattern[str], stretches: list[tuple[int, str]]) -> int:
    return sum(1 for _, text in stretches for _ in pattern.finditer(text))
