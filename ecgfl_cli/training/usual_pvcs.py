"""Imitate records in which the usual beat looks like a PVC.

Bundle branch blocks, pre-excitation and pacing make every beat of a patient wide, and few sites
have such patients. They are imitated with the beats of other patients: PVCs of one shape, at the
times of normal beats, are taken for the normal beats of such a patient.
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
"""Share of the PVCs, those nearest to their median, that count as one shape."""


def pvcs_as_the_usual_beat(beats: Beats, window: Window) -> Beats | None:
    """Return the PVCs of a lead as normal beats of a record whose typical beat they are.

    Parameters
    ----------
    beats : Beats
        Learnable beats of one lead.
    window : Window
        Their window.

    Returns
    -------
    Beats or None
        None with fewer than `FEWEST` PVCs or normal beats.
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
