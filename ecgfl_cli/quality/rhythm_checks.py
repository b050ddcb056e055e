"""Check the detected beats by their alternation and against the other leads.

Beats alternate in shape if T or P waves were detected as beats.

Both checks use a few minutes spread over the recording, so that a day takes as long as half an
hour.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from ecgfl_adapters.recording import Lead, Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.conditioning import condition, pieces
from ecgfl_cli.beats.detection import LOWEST_FS, detect, nearest
from ecgfl_cli.beats.qrs_envelope import candidates
from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.rhythm import CHECKED_FS

EDGE_SECONDS = 2.0
"""Seconds that are ignored at both ends of a stretch, where a beat may be cut off in one of the
leads."""


def check_rhythm(
    recording: Recording,
    beats: NDArray[np.int64],
    rhythm_lead: Lead,
    others: Sequence[Lead],
    limits: Limits,
) -> Iterator[Finding]:
    """Yield the findings `rate-doubled` and `leads-disagree`.

    Parameters
    ----------
    recording : Recording
        The recording.
    beats : array of int64, shape (n,)
        R peaks in samples that were detected in the rhythm lead, ascending.
    rhythm_lead : Lead
        The lead in which they were detected.
    others : sequence of Lead
        Leads to compare with it.
    limits : Limits
        Limits of the checks.
    """
    if recording.fs < LOWEST_FS:
        return
    stretches = _stretches(recording, limits)
    yield from _check_doubled(recording, beats, rhythm_lead, stretches, limits)
    yield from _check_agreement(recording, beats, rhythm_lead, others, stretches, limits)


def _check_doubled(
    recording: Recording,
    beats: NDArray[np.int64],
    lead: Lead,
    stretches: list[slice],
    limits: Limits,
) -> Iterator[Finding]:
    doubled, judged = 0, 0
    fs = min(CHECKED_FS, recording.fs)
    for stretch in stretches:
        conditioned = condition(lead.samples[stretch], recording.fs, fs)
        places = np.rint((_within(beats, stretch) - stretch.start) * (fs / recording.fs)).astype(
            np.int64
        )
        for piece in pieces(conditioned):
            inside = places[(places >= piece.start) & (places < piece.stop)] - piece.start
            humps = candidates(conditioned[piece], fs) if inside.size else None
            if humps is None or not len(humps):
                continue
            sharpness = humps.sharpness[nearest(humps.samples, inside)]
            doubled += int(_alternate(inside / fs, sharpness, limits).sum())
            judged += inside.size
    if not judged or doubled / judged <= limits.doubled_warn_share:
        return
    yield Finding(
        "rate-doubled",
        Severity.WARNING,
        f"the heart rate in lead {lead.name} may be twice the true one: of {judged} beats "
        f"checked, {doubled} look like a T wave "
        f"or a P wave: blunter than both neighbours and less than {limits.doubled_s:g} s from "
        "one of them, at every second beat",
        "Look at the marked beats. If T or P waves are marked, use a lead in which they are "
        "smaller (--lead NAME); "
        "if every second beat is premature, the beats are right.",
        lead=lead.name,
        value=doubled / judged,
        limit=limits.doubled_warn_share,
    )


def _alternate(
    times: NDArray[np.float64], sharpness: NDArray[np.float64], limits: Limits
) -> NDArray[np.bool_]:
    """Return which beats are repeatedly blunter than both neighbours and close to one, shape (n,).

    "Repeatedly" means that the same is true two beats before or two beats after. The times are in
    seconds, ascending.
    """
    blunt = np.zeros(times.size, dtype=np.bool_)
    if times.size < 3:
        return blunt
    intervals = np.diff(times)
    near = np.minimum(intervals[:-1], intervals[1:]) < limits.doubled_s
    blunt[1:-1] = near & (
        sharpness[1:-1] < limits.doubled_sharpness * np.minimum(sharpness[:-2], sharpness[2:])
    )
    again = np.zeros_like(blunt)
    again[2:] |= blunt[:-2]
    again[:-2] |= blunt[2:]
    return np.asarray(blunt & again)


def _check_agreement(
    recording: Recording,
    beats: NDArray[np.int64],
    lead: Lead,
    others: Sequence[Lead],
    stretches: list[slice],
    limits: Limits,
) -> Iterator[Finding]:
    counts = {
        other.name: _compare(recording, beats, lead, other, stretches, limits) for other in others
    }
    shares = {
        name: 1 - both / (here + there - both)
        for name, (here, there, both) in counts.items()
        if here + there
    }
    apart = [name for name in shares if shares[name] > limits.disagreement_warn_share]
    if not apart:
        return
    worst = max(apart, key=lambda name: shares[name])
    here, there, both = counts[worst]
    beside = [name for name in apart if name != worst]
    yield Finding(
        "leads-disagree",
        Severity.WARNING,
        f"leads {lead.name} and {worst} disagree about the beats: in the checked parts, {here} "
        f"are found in {lead.name} and "
        f"{there} in {worst}, {both} of them at the same time"
        + (f"; so do {lead.name} and {', '.join(beside)}" if beside else ""),
        "Look at these leads: in one of them beats are missed, or T waves, P waves or noise are "
        "counted. "
        f"The beats found in {lead.name} are used; --lead NAME selects another lead.",
        lead=worst,
        value=shares[worst],
        limit=limits.disagreement_warn_share,
    )


def _compare(
    recording: Recording,
    beats: NDArray[np.int64],
    lead: Lead,
    other: Lead,
    stretches: list[slice],
    limits: Limits,
) -> tuple[int, int, int]:
    """Count the beats in `lead`, in `other` and in both, within the stretches and without gaps."""
    fs = min(CHECKED_FS, recording.fs)
    edge = round(EDGE_SECONDS * recording.fs)
    here = there = both = 0
    for stretch in stretches:
        inner = slice(stretch.start + edge, stretch.stop - edge)
        peaks = detect(condition(other.samples[stretch], recording.fs, fs), fs)
        theirs = _within(
            stretch.start + np.rint(peaks * (recording.fs / fs)).astype(np.int64), inner
        )
        ours = _within(beats, inner)
        ours, theirs = ours[~np.isnan(other.samples[ours])], theirs[~np.isnan(lead.samples[theirs])]
        here, there = here + ours.size, there + theirs.size
        both += _matched(ours, theirs, limits.match_s * recording.fs)
    return here, there, both


def _stretches(recording: Recording, limits: Limits) -> list[slice]:
    """Return evenly spaced stretches of the recording, which cover a short one completely."""
    length = min(max(1, round(limits.rhythm_block_s * recording.fs)), recording.length)
    number = min(limits.rhythm_blocks, -(-recording.length // length))
    starts = np.linspace(0, recording.length - length, number).astype(np.int64)
    return [slice(int(start), int(start) + length) for start in starts]


def _within(beats: NDArray[np.int64], part: slice) -> NDArray[np.int64]:
    first, last = np.searchsorted(beats, (part.start, part.stop))
    return beats[first:last]


def _matched(ours: NDArray[np.int64], theirs: NDArray[np.int64], within: float) -> int:
    """Count the values of `theirs` that are the closest to a value of `ours`, and near enough."""
    if not ours.size or not theirs.size:
        return 0
    closest = nearest(theirs, ours)
    return int(np.unique(closest[np.abs(theirs[closest] - ours) <= within]).size)
