"""Check whether the detected beats are plausible."""

from collections.abc import Iterator, Sequence

import numpy as np
from ecgfl_adapters.recording import Gap, Recording
from numpy.typing import NDArray

from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.limits import Limits


def check_beats(
    recording: Recording, gaps: Sequence[Gap], beats: NDArray[np.int64], limits: Limits
) -> Iterator[Finding]:
    """Yield `too-few-beats`, `implausible-rate` and `beatless-stretch`.

    `beats` are sorted samples inside the recording.
    """
    if beats.size < limits.min_beats:
        yield Finding(
            "too-few-beats",
            Severity.ERROR,
            f"{beats.size} beats were found in {recording.seconds:.1f} s, at least "
            f"{limits.min_beats} are needed",
            "Check that the channel is an ECG (--lead NAME picks another), its unit (--units "
            "mV), its rate (--fs HZ).",
            value=float(beats.size),
            limit=float(limits.min_beats),
        )
        return
    yield from _check_rate(recording, beats, limits)
    yield from _check_stretches(recording, gaps, beats, limits)


def _check_rate(
    recording: Recording, beats: NDArray[np.int64], limits: Limits
) -> Iterator[Finding]:
    rate = 60.0 * recording.fs / float(np.median(np.diff(beats)))
    outside = [
        (severity, bounds)
        for severity, bounds in (
            (Severity.ERROR, limits.rate_error_bpm),
            (Severity.WARNING, limits.rate_warn_bpm),
        )
        if not bounds[0] <= rate <= bounds[1]
    ]
    if not outside:
        return
    severity, (lowest, highest) = outside[0]
    yield Finding(
        "implausible-rate",
        severity,
        f"the median heart rate would be {rate:.0f} a minute at {recording.fs:g} Hz, expected "
        f"{lowest:g} to {highest:g}",
        f"The sampling rate is probably {'lower' if rate > highest else 'higher'} than "
        f"{recording.fs:g} Hz: "
        "export it again at the recorder's true rate; --fs HZ is for files that state none.",
        value=rate,
        limit=f"{lowest:g}..{highest:g}",
    )


def _check_stretches(
    recording: Recording, gaps: Sequence[Gap], beats: NDArray[np.int64], limits: Limits
) -> Iterator[Finding]:
    # A gap's ends count as beats, so that only time with signal is held against the limit.
    edges = [edge for gap in gaps for edge in gap]
    marks = np.unique(
        np.concatenate((beats, np.asarray([0, recording.length, *edges], dtype=np.int64)))
    )
    silent = np.diff(marks) / recording.fs
    silent[np.isin(marks[:-1], [gap.start for gap in gaps])] = 0.0
    long = np.flatnonzero(silent > limits.beatless_s)
    if not long.size:
        return
    worst = int(long[silent[long].argmax()])
    start, stop = float(marks[worst]) / recording.fs, float(marks[worst + 1]) / recording.fs
    yield Finding(
        "beatless-stretch",
        Severity.WARNING,
        f"no beat was found from {start:.1f} to {stop:.1f} s although there is signal"
        f" ({long.size} such stretches over {limits.beatless_s:g} s, {silent[long].sum():.0f} s "
        "together)",
        "Look at that stretch: a loose electrode, noise, or an arrhythmia without distinct "
        "beats; try another --lead NAME.",
        start_s=start,
        stop_s=stop,
        value=float(silent[worst]),
        limit=limits.beatless_s,
    )
