"""Imitate records in which the normal beats look like PVCs.

Bundle branch blocks, pre-excitation and pacing make every beat of a patient wide. Few sites have
such patients. This module imitates them with the beats of other patients: PVCs of one shape get the
RR intervals of normal beats and the label of normal beats.
"""

import numpy as np

from ecgfl_cli.beats.aami import BeatClass
from ecgfl_cli.beats.beats import Beats
from ecgfl_cli.beats.likeness import LIKENESS_FIELDS, likeness
from ecgfl_cli.beats.mixtures import typical_height
from ecgfl_cli.beats.window import Window

FEWEST = 15
"""Smallest number of PVCs, and of normal beats, of a lead that is imitated."""

MOST = 25
"""Largest number of beats that are made from a lead."""

NEAREST = 0.6
"""Share of the PVCs that count as beats of one shape: those that are nearest to their median."""


def pvcs_as_the_usual_beat(beats: Beats, window: Window) -> Beats | None:
    """Return PVCs of a lead as normal beats of a record whose typical beat has their shape.

    Parameters
    ----------
    beats : Beats
        Learnable beats of one lead.
    window : Window
        Window of the beats.

    Returns
    -------
    Beats or None
        The imitated normal beats; None if there are fewer than `FEWEST` PVCs or normal beats.
    """
    pvcs = np.flatnonzero(beats.classes == BeatClass.V)
    normal = np.flatnonzero(beats.classes == BeatClass.N)
    if min(pvcs.size, normal.size) < FEWEST:
        return None
    windows = beats.windows[pvcs] / typical_height(beats.windows[pvcs, window.before])
    typical = np.median(windows, axis=0)
    distances = np.abs(windows - typical).mean(axis=1)
    chosen = np.argsort(distances)[: min(MOST, int(NEAREST * pvcs.size))]
    evenly_spaced = np.linspace(0, normal.size - 1, chosen.size).round().astype(np.int64)
    rr = beats.context[normal[evenly_spaced], : -len(LIKENESS_FIELDS)]
    likenesses = likeness(windows[chosen], typical, rr, window.fs, window.before)
    return Beats(
        samples=beats.samples[pvcs[chosen]],
        windows=windows[chosen],
        typical=typical[None],
        block=np.zeros(chosen.size, dtype=np.int64),
        noise=beats.noise[pvcs[chosen]],
        context=np.concatenate((rr, likenesses), axis=1),
        classes=np.full(chosen.size, BeatClass.N, dtype=np.int8),
        symbols=("N",) * chosen.size,
    )
