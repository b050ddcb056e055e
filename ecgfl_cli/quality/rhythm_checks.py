"""Whether what was found are the heart's beats: by how they follow each other, and by what the other leads show.

Both checks look at a few minutes spread over the recording, and so cost the same for a day as for half an hour.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from ecgfl_adapters.recording import Lead, Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.conditioning import condition, pieces
from ecgfl_cli.beats.detection import LOWEST_FS, detect
from ecgfl_cli.beats.qrs_envelope import candidates
from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.rhythm import CHECKED_FS

EDGE_SECONDS = 2.0
"""At the ends of a stretch a beat may be found in one lead and be cut off in the other."""

MATCH_SECONDS = 0.15
"""EC57's window for two marks of one beat."""


def check_rhythm(
    recording: Recording, beats: NDArray[np.int64], rhythm_lead: Lead, others: Sequence[Lead], limits: Limits
) -> Iterator[Finding]:
    """Findings `rate-doubled` and `leads-disagree`.

    beats : shape (n,), ascending samples of the R peaks found in the rhythm lead. others : leads to compare with it.
    """
    if recording.fs < LOWEST_FS:
        return
    stretches = _stretches(recording, limits)
    yield from _check_doubled(recording, beats, rhythm_lead, stretches, limits)
    yield from _check_agreement(recording, beats, rhythm_lead, others, stretches, limits)


def _check_doubled(
    recording: Recording, beats: NDArray[np.int64], lead: Lead, stretches: list[slice], limits: Limits
) -> Iterator[Finding]:
    doubled, judged = 0, 0
    fs = min(CHECKED_FS, recording.fs)
    for stretch in stretches:
        conditioned = condition(lead.samples[stretch], recording.fs, fs)
        places = np.rint((_within(beats, stretch) - stretch.start) * (fs / recording.fs)).astype(np.int64)
        for piece in pieces(conditioned):
            inside = places[(places >= piece.start) & (places < piece.stop)] - piece.start
            humps = candidates(conditioned[piece], fs) if inside.size else None
            if humps is None or not len(humps):
                continue
            sharpness = humps.sharpness[_nearest(humps.samples, inside)]
            doubled += int(_alternate(inside / fs, sharpness, limits).sum())
            judged += inside.size
    if not judged or doubled / judged <= limits.doubled_warn_share:
        return
    yield Finding(
        "rate-doubled",
        Severity.WARNING,
        f"the heart rate may be counted twice in lead {lead.name}: of {judged} beats looked at, {doubled} are the blunter one of "
        f"two less than {limits.doubled_s:g} s apart, time after time, as a T wave or a P wave is beside its QRS complex",
        "Look at the marked beats. If T or P waves are marked, take a lead in which they are smaller (--lead NAME); "
        "if every second beat is a premature one, the count is right.",
        lead=lead.name,
        value=doubled / judged,
        limit=limits.doubled_warn_share,
    )


def _alternate(times: NDArray[np.float64], sharpness: NDArray[np.float64], limits: Limits) -> NDArray[np.bool_]:
    """Which beats, shape (n,), are blunter than both neighbours and close to one of them, and so is the next beat but one.

    times : seconds, ascending.
    """
    blunt = np.zeros(times.size, dtype=np.bool_)
    if times.size < 3:
        return blunt
    intervals = np.diff(times)
    near = np.minimum(intervals[:-1], intervals[1:]) < limits.doubled_s
    blunt[1:-1] = near & (sharpness[1:-1] < limits.doubled_sharpness * np.minimum(sharpness[:-2], sharpness[2:]))
    again = np.zeros_like(blunt)
    again[2:] |= blunt[:-2]
    again[:-2] |= blunt[2:]
    return np.asarray(blunt & again)


def _check_agreement(
    recording: Recording, beats: NDArray[np.int64], lead: Lead, others: Sequence[Lead], stretches: list[slice], limits: Limits
) -> Iterator[Finding]:
    counts = {other.name: _compare(recording, beats, lead, other, stretches) for other in others}
    shares = {name: 1 - both / (here + there - both) for name, (here, there, both) in counts.items() if here + there}
    apart = [name for name in shares if shares[name] > limits.disagreement_warn_share]
    if not apart:
        return
    worst = max(apart, key=lambda name: shares[name])
    here, there, both = counts[worst]
    beside = [name for name in apart if name != worst]
    yield Finding(
        "leads-disagree",
        Severity.WARNING,
        f"leads {lead.name} and {worst} disagree about the beats: of those looked at, {here} are found in {lead.name} and "
        f"{there} in {worst}, {both} of them at the same time"
        + (f"; so do {lead.name} and {', '.join(beside)}" if beside else ""),
        "Look at these leads: in one of them beats are missed, or T waves, P waves or noise are counted. "
        f"The beats are those found in {lead.name}; --lead NAME takes another lead.",
        lead=worst,
        value=shares[worst],
        limit=limits.disagreement_warn_share,
    )


def _compare(
    recording: Recording, beats: NDArray[np.int64], lead: Lead, other: Lead, stretches: list[slice]
) -> tuple[int, int, int]:
    """Beats of the lead, of the other lead and of both at the same time, in the stretches, where both have a signal."""
    fs = min(CHECKED_FS, recording.fs)
    edge = round(EDGE_SECONDS * recording.fs)
    here = there = both = 0
    for stretch in stretches:
        inner = slice(stretch.start + edge, stretch.stop - edge)
        found = detect(condition(other.samples[stretch], recording.fs, fs), fs)
        theirs = _within(stretch.start + np.rint(found * (recording.fs / fs)).astype(np.int64), inner)
        ours = _within(beats, inner)
        ours, theirs = ours[~np.isnan(other.samples[ours])], theirs[~np.isnan(lead.samples[theirs])]
        here, there = here + ours.size, there + theirs.size
        both += _matched(ours, theirs, MATCH_SECONDS * recording.fs)
    return here, there, both


def _stretches(recording: Recording, limits: Limits) -> list[slice]:
    """Stretches of the recording, evenly spread: all of it where they would cover it."""
    length = min(max(1, round(limits.rhythm_block_s * recording.fs)), recording.length)
    number = min(limits.rhythm_blocks, -(-recording.length // length))
    starts = np.linspace(0, recording.length - length, number).astype(np.int64)
    return [slice(int(start), int(start) + length) for start in starts]


def _within(beats: NDArray[np.int64], part: slice) -> NDArray[np.int64]:
    first, last = np.searchsorted(beats, (part.start, part.stop))
    return beats[first:last]


def _nearest(places: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.intp]:
    """Index of the place closest to each of those wanted; places ascend."""
    right = np.clip(np.searchsorted(places, wanted), 0, places.size - 1)
    left = np.clip(right - 1, 0, None)
    return np.where(wanted - places[left] <= places[right] - wanted, left, right)


def _matched(ours: NDArray[np.int64], theirs: NDArray[np.int64], within: float) -> int:
    """How many of the one have one of the other near."""
    if not ours.size or not theirs.size:
        return 0
    nearest = _nearest(theirs, ours)
    return int(np.unique(nearest[np.abs(theirs[nearest] - ours) <= within]).size)
