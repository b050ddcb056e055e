"""Check whether the beat labels belong to the signal."""

from collections.abc import Iterator, Sequence

import numpy as np
from ecgfl_adapters.recording import Gap, Recording
from ecgfl_adapters.symbols import BEAT_SYMBOLS
from numpy.typing import NDArray

from ecgfl_cli.beats.annotated import (
    FEWEST_LABELS,
    annotated_part,
    annotated_spans,
    inside,
    is_whole,
)
from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.label_match import Match, match
from ecgfl_cli.quality.label_share_checks import check_label_shares
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.parts import Stretches, total

SHOWN = 3
"""Maximum number of annotated parts that a message lists."""


def check_labels(
    recording: Recording, gaps: Sequence[Gap], beats: NDArray[np.int64], limits: Limits
) -> Iterator[Finding]:
    """Yield the findings about labels.

    These are `no-labels`, `labels-outside`, `labels-duplicated`, `labels-dense`, `labels-off-peak`,
    `labels-shifted`, `labels-partial`, `paced-rhythm` and `implausible-pvc-share`.

    `beats` are sorted samples inside the recording. Of labels that are not beats (rhythm, noise)
    only the position is checked. Beat labels outside the annotated part are not checked further,
    because they are not used.
    """
    labels = recording.labels or ()
    marked = np.sort(
        np.asarray(
            [label.sample for label in labels if label.symbol in BEAT_SYMBOLS], dtype=np.int64
        )
    )
    yield from _check_outside(
        recording, np.asarray([label.sample for label in labels], dtype=np.int64)
    )
    marked = marked[(marked >= 0) & (marked < recording.length)]
    if not marked.size:
        yield Finding(
            "no-labels",
            Severity.INFO,
            "there are no beat labels"
            if recording.labels is None
            else f"none of the {len(labels)} labels marks a beat",
            "Nothing to do for predict. To train on this recording, give its labels with "
            "--labels FILE.",
        )
        return
    yield from _check_duplicated(recording, marked)
    marked = np.unique(marked)
    spans = annotated_spans(recording, beats)
    yield from _check_part(recording, beats, marked, spans)
    marked = (
        marked[[inside(sample, spans) for sample in marked.tolist()]]
        if not is_whole(recording, spans)
        else marked
    )
    if not marked.size:
        return
    yield from _check_dense(recording, marked, limits)
    matched = match(recording, gaps, marked, beats, limits)
    if matched is not None:
        found = list(
            _check_shift(matched, recording.fs, limits)
            if matched.is_shifted(limits)
            else _check_off_peak(matched, limits)
        )
        yield from found
        if (
            is_whole(recording, spans) and not found
        ):  # labels at the wrong places say nothing about unlabelled beats
            yield from _check_unlabelled(recording, beats, marked, limits)
    yield from check_label_shares(annotated_part(recording, beats), limits)


def _check_outside(recording: Recording, samples: NDArray[np.int64]) -> Iterator[Finding]:
    outside = samples[(samples < 0) | (samples >= recording.length)]
    if outside.size:
        yield Finding(
            "labels-outside",
            Severity.WARNING,
            f"{outside.size} of {samples.size} labels lie outside the signal, the first at "
            f"sample {outside[0]} "
            f"({outside[0] / recording.fs:.1f} s) of {recording.length}; they are dropped",
            "A few at the end are harmless. Many mean that the labels belong to another "
            "recording: check --labels FILE.",
            start_s=float(outside[0]) / recording.fs,
            value=float(outside.size),
            limit=0.0,
        )


def _check_duplicated(recording: Recording, marked: NDArray[np.int64]) -> Iterator[Finding]:
    again = marked[1:][np.diff(marked) == 0]
    if again.size:
        yield Finding(
            "labels-duplicated",
            Severity.WARNING,
            f"{again.size} beat labels share their sample with another, the first at "
            f"{again[0] / recording.fs:.2f} s; "
            "one of each is kept",
            "Check whether two annotation files were joined; --labels FILE names the one to use.",
            start_s=float(again[0]) / recording.fs,
            value=float(again.size),
            limit=0.0,
        )


def _check_dense(
    recording: Recording, marked: NDArray[np.int64], limits: Limits
) -> Iterator[Finding]:
    if marked.size < 3:
        return
    intervals = np.diff(marked) / recording.fs
    rate = 60.0 / float(np.median(intervals))
    short = float((intervals < limits.label_min_interval_s).mean())
    if rate > limits.label_rate_bpm:
        yield Finding(
            "labels-dense",
            Severity.ERROR,
            f"the beat labels stand {np.median(intervals):.3f} s apart, {rate:.0f} a minute; "
            f"a heart makes at most {limits.label_rate_bpm:g}",
            "The labels do not count in this signal's samples: check --fs HZ and --labels FILE, "
            "or read without (--labels none).",
            value=rate,
            limit=limits.label_rate_bpm,
        )
    elif short > limits.label_short_warn_share:
        yield Finding(
            "labels-dense",
            Severity.WARNING,
            f"{short:.1%} of the beat labels follow the one before within "
            f"{limits.label_min_interval_s:g} s, "
            f"expected at most {limits.label_short_warn_share:.1%}",
            "Beats are probably labelled twice: check whether two annotation files were joined "
            "(--labels FILE names one).",
            value=short,
            limit=limits.label_short_warn_share,
        )


def _check_part(
    recording: Recording, beats: NDArray[np.int64], marked: NDArray[np.int64], spans: Stretches
) -> Iterator[Finding]:
    """Yield `labels-partial` if only a part of the recording or of its beats is annotated."""
    seconds = total(spans) / recording.fs
    if not len(spans):
        yield Finding(
            "labels-partial",
            Severity.WARNING,
            f"the {marked.size} beat labels are scattered among {beats.size} detected beats, "
            f"fewer than {FEWEST_LABELS} in a "
            "row; they are not used",
            "If they are notes, do nothing. To train on this recording, give labels of all its "
            "beats with --labels FILE.",
            value=0.0,
            limit=recording.seconds,
        )
    elif not is_whole(recording, spans):
        shown = ", ".join(
            f"{start / recording.fs:.0f} to {stop / recording.fs:.0f} s"
            for start, stop in spans[:SHOWN].tolist()
        )
        more = f" and {len(spans) - SHOWN} more" if len(spans) > SHOWN else ""
        yield Finding(
            "labels-partial",
            Severity.WARNING,
            f"the labels cover {seconds:.0f} of {recording.seconds:.0f} s ({shown}{more}); only "
            "that part is used to train "
            "and evaluate",
            "If only that part was annotated, do nothing; otherwise give the complete labels "
            "with --labels FILE.",
            start_s=float(spans[0, 0]) / recording.fs,
            stop_s=float(spans[-1, 1]) / recording.fs,
            value=seconds,
            limit=recording.seconds,
        )


def _check_unlabelled(
    recording: Recording, beats: NDArray[np.int64], marked: NDArray[np.int64], limits: Limits
) -> Iterator[Finding]:
    """Yield `labels-partial` if only some classes of beats are labelled."""
    if beats.size < limits.min_beats or any(
        label.symbol == "[" for label in recording.labels or ()
    ):
        return
    window = round(limits.match_s * recording.fs)
    near = np.searchsorted(marked, beats + window, side="right") > np.searchsorted(
        marked, beats - window
    )
    share = float(1.0 - near.mean())
    if share > limits.unlabelled_warn_share:
        yield Finding(
            "labels-partial",
            Severity.WARNING,
            f"{share:.0%} of {beats.size} detected beats have no label within "
            f"{limits.match_s * 1000:g} ms; expected at most "
            f"{limits.unlabelled_warn_share:.0%}",
            "Check whether only some kinds of beats, such as PVCs, were labelled: `evaluate` "
            "needs a label for every beat.",
            value=share,
            limit=limits.unlabelled_warn_share,
        )


def _check_shift(match: Match, fs: float, limits: Limits) -> Iterator[Finding]:
    late = match.offset_s > 0
    milliseconds, samples = abs(match.offset_s) * 1000, round(abs(match.offset_s) * fs)
    harmful = abs(match.offset_s) > limits.shift_error_s
    limit = limits.shift_error_s if harmful else limits.shift_warn_s
    yield Finding(
        "labels-shifted",
        Severity.ERROR if harmful else Severity.WARNING,
        f"the {match.labels} beat labels stand {milliseconds:.0f} ms "
        f"{'after' if late else 'before'} their beats throughout "
        f"(half of them within {match.spread_s * 1000:.0f} ms of each other); expected at most "
        f"{limit * 1000:g} ms",
        f"{'Subtract' if late else 'Add'} {samples} samples ({milliseconds:.0f} ms) "
        f"{'from' if late else 'to'} the labels where "
        "they come from and ingest again; --labels none reads the recording without them.",
        value=match.offset_s * 1000,
        limit=limit * 1000,
    )


def _check_off_peak(match: Match, limits: Limits) -> Iterator[Finding]:
    foreign = match.share > match.error_share
    limit = match.error_share if foreign else limits.off_peak_warn_share
    if match.share <= limit:
        return
    yield Finding(
        "labels-off-peak",
        Severity.ERROR if foreign else Severity.WARNING,
        f"{match.share:.0%} of {match.labels} labelled beats have no detected beat within "
        f"{limits.match_s * 1000:g} ms"
        f"{_shift(match, limits)}; expected at most {limit:.0%}",
        "The labels do not belong to this signal or count at another rate: check --labels FILE, "
        "--fs HZ, or use --labels none."
        if foreign
        else (
            "Look at the recording: the signal is poor there or the labels are shifted. --labels "
            "none reads it without them."
        ),
        value=match.share,
        limit=limit,
    )


def _shift(match: Match, limits: Limits) -> str:
    """Describe where most of the labels are."""
    if abs(match.offset_s) <= limits.shift_warn_s:
        return ""
    side = "after" if match.offset_s > 0 else "before"
    return f" (half of them stand {abs(match.offset_s) * 1000:.0f} ms or more {side} the nearest)"
