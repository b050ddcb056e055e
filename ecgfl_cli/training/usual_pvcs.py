"""Records in which the usual beat looks like a PVC.

Bundle branch blocks, pre-excitation and pacing make every beat of a patient wide and odd, and few sites have such patients. What
a network must learn of them can be shown with the patients there are: a PVC among PVCs of its own shape, at the times of normal
beats, is a normal beat of somebody else.
"""

import numpy as np

from ecgfl_cli.beats.aami import BeatClass
from ecgfl_cli.beats.beats import Beats
from ecgfl_cli.beats.likeness import LIKENESS_FIELDS, likeness
from ecgfl_cli.beats.mixtures import typical_height
from ecgfl_cli.beats.window import Window

FEWEST = 15
MOST = 25
NEAREST = 0.6
"""The share of the PVCs, those next to their median, that are taken for one shape."""


def pvcs_as_the_usual_beat(beats: Beats, window: Window) -> Beats | None:
    """The lead's PVCs as normal beats of a record whose typical beat they are; None with fewer than FEWEST PVCs or others.

    beats : learnable ones of one lead.
    """
    pvcs, others = (
        np.flatnonzero(beats.classes == BeatClass.V),
        np.flatnonzero(beats.classes == BeatClass.N),
    )
    if min(pvcs.size, others.size) < FEWEST:
        return None
    windows = beats.windows[pvcs] / typical_height(beats.windows[pvcs, window.before])
    typical = np.median(windows, axis=0)
    apart = np.abs(windows - typical).mean(axis=1)
    chosen = np.argsort(apart)[: min(MOST, int(NEAREST * pvcs.size))]
    timed_like = others[np.linspace(0, others.size - 1, chosen.size).round().astype(np.int64)]
    rr = beats.context[timed_like, : -len(LIKENESS_FIELDS)]
    alike = likeness(windows[chosen], typical, rr, window.fs, window.before)
    return Beats(
        samples=beats.samples[pvcs[chosen]],
        windows=windows[chosen],
        typical=typical[None],
        block=np.zeros(chosen.size, dtype=np.int64),
        noise=beats.noise[pvcs[chosen]],
        context=np.concatenate((rr, alike), axis=1),
        classes=np.full(chosen.size, BeatClass.N, dtype=np.int8),
        symbols=("N",) * chosen.size,
    )
