"""How well labelled beats and detected beats coincide."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ecgfl_adapters.recording import Gap, Recording
from numpy.typing import NDArray

from ecgfl_cli.quality.limits import Limits


@dataclass(frozen=True)
class OffPeak:
    """Labelled beats away from detected ones.

    share : of the labels without a detected beat within the matching window. labels : how many were judged.
    error_share : the share from which the labels cannot belong to this signal.
    offset_s : median distance of a label from its nearest detected beat in seconds, positive when the label comes later.
    """

    share: float
    labels: int
    error_share: float
    offset_s: float


def off_peak(
    recording: Recording, gaps: Sequence[Gap], marked: NDArray[np.int64], beats: NDArray[np.int64], limits: Limits
) -> OffPeak | None:
    """Compare labelled beats with detected ones; None where there is nothing to compare.

    Labels in a gap are left out: nothing can be detected there. `marked` and `beats` are sorted samples inside the recording.

    The share that labels strewn at random would miss is the share of the time farther than the window from every beat. Labels
    of this signal miss far less than that, whatever the heart rate, so the limit for an error follows it.
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
    reached = int(np.minimum(np.diff(beats), 2 * window).sum()) + 2 * window
    by_chance = 1.0 - min(1.0, reached / recording.length)
    return OffPeak(
        share=float((np.abs(distance) > window).mean()),
        labels=int(marked.size),
        error_share=min(limits.off_peak_error_share, limits.off_peak_chance_share * by_chance),
        offset_s=float(np.median(distance)) / recording.fs,
    )
