"""Compare labelled beats with detected beats."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ecgfl_adapters.recording import Gap, Recording
from numpy.typing import NDArray

from ecgfl_cli.quality.limits import Limits


@dataclass(frozen=True)
class Match:
    """The comparison of labelled with detected beats.

    Attributes
    ----------
    share : float
        Share of the labels without a detected beat within the match window.
    labels : int
        Number of compared labels.
    error_share : float
        Share from which the labels cannot belong to this signal.
    offset_s : float
        Median distance of a label from its nearest detected beat in seconds, positive if the label
        is later.
    spread_s : float
        Distance between the quartiles of that distance, for labels within the window.
    deflection : float
        Median movement around such labels in the lead that moves most there, relative to that
        around their detections.
    """

    share: float
    labels: int
    error_share: float
    offset_s: float
    spread_s: float
    deflection: float

    def is_shifted(self, limits: Limits) -> bool:
        """Whether all labels have the same offset from their beats and are on no wave of a QRS."""
        return (
            limits.shift_warn_s < abs(self.offset_s) <= limits.match_s
            and self.spread_s <= limits.shift_spread_s
            and self.deflection < limits.shift_deflection
            and self.share <= self.error_share
        )


AROUND_SECONDS = 0.02
"""Half of the time in which movement is measured; in all it is half of a narrow QRS."""


def match(
    recording: Recording,
    gaps: Sequence[Gap],
    marked: NDArray[np.int64],
    beats: NDArray[np.int64],
    limits: Limits,
) -> Match | None:
    """Compare labelled beats with detected ones; return None if there is nothing to compare.

    Labels in a gap are left out, because nothing can be detected there. `marked` and `beats` are
    sorted
    samples inside the recording.

    Random labels would miss the share of the time that is farther than the window from every beat.
    Labels of this signal miss far less at any heart rate, so the limit for an error is a part of
    that share.
    """
    edges = np.asarray(gaps, dtype=np.int64).ravel()
    marked = marked[np.searchsorted(edges, marked, side="right") % 2 == 0]
    if not marked.size or beats.size < limits.min_beats:
        return None
    window = round(limits.match_s * recording.fs)
    after = np.searchsorted(beats, marked)
    before = marked - beats[np.maximum(after - 1, 0)]
    ahead = marked - beats[np.minimum(after, beats.size - 1)]
    distance = np.where(np.abs(before) <= np.abs(ahead), before, ahead)
    near = np.abs(distance) <= window
    reached = int(np.minimum(np.diff(beats), 2 * window).sum()) + 2 * window
    by_chance = 1.0 - min(1.0, reached / recording.length)
    spread = float(np.ptp(np.quantile(distance[near], (0.25, 0.75)))) if near.any() else 0.0
    return Match(
        share=float(1.0 - near.mean()),
        labels=int(marked.size),
        error_share=min(limits.off_peak_error_share, limits.off_peak_chance_share * by_chance),
        offset_s=float(np.median(distance)) / recording.fs,
        spread_s=spread / recording.fs,
        deflection=_deflection(recording, marked[near], distance[near], limits),
    )


def _deflection(
    recording: Recording, marked: NDArray[np.int64], distance: NDArray[np.int64], limits: Limits
) -> float:
    """Return the deflection of `Match`; 1 if no lead has enough signal."""
    half = max(1, round(AROUND_SECONDS * recording.fs))
    lowest, highest = (
        np.minimum(marked, marked - distance) - half,
        np.maximum(marked, marked - distance) + half,
    )
    inside = np.flatnonzero((lowest >= 0) & (highest < recording.length))
    if not inside.size:
        return 1.0
    chosen = inside[
        np.linspace(0, inside.size - 1, min(limits.qrs_sample, inside.size)).astype(np.int64)
    ]
    at_label = marked[chosen, None] + np.arange(-half, half + 1)
    at_beat = at_label - distance[chosen, None]
    ratios = []
    for lead in recording.leads:
        here, there = (np.ptp(lead.samples[places], axis=1) for places in (at_label, at_beat))
        moving = (there > 0) & np.isfinite(there) & np.isfinite(here)
        if moving.any():
            ratios.append(float(np.median(here[moving] / there[moving])))
    return max(ratios, default=1.0)
