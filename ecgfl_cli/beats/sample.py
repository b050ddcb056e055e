"""Which of a record's beats a network learns from: enough of each kind, and no record more than its share."""

import numpy as np

from ecgfl_cli.beats.aami import BeatClass, NoClass
from ecgfl_cli.beats.beats import Beats

MOST_OF_A_KIND = 100
"""Beats of one class that a lead of a record gives. Beats of one class and patient are nearly copies of each other, and a network
that sees more of one patient's than of another's learns that patient by heart: with 300, F1 on patients held out of training
was 88.7 (one lead) and 91.5 (both), with 100 it is 91.2 and 93.8."""

LEARNED = (BeatClass.N, BeatClass.V, BeatClass.S, NoClass.NOT_A_BEAT)
"""F and Q teach nothing about V against the rest."""


def learnable(beats: Beats) -> Beats:
    """The readable beats of classes N, S and V, and detections that are no beats."""
    return beats.take(np.flatnonzero(beats.readable & np.isin(beats.classes, LEARNED)))


def sample(beats: Beats, place: int = 0) -> Beats:
    """At most MOST_OF_A_KIND learnable beats of each class, evenly spread, in order of time.

    place : which lead of its record this is; each takes others of the beats.
    """
    usable = learnable(beats)
    chosen = []
    for beat_class in LEARNED:
        of_class = np.flatnonzero(usable.classes == beat_class)
        step = max(1.0, of_class.size / MOST_OF_A_KIND)
        places = (np.arange(min(of_class.size, MOST_OF_A_KIND)) * step + place % step).astype(
            np.int64
        )
        # Just below step, place % step rounds the last one up to the end: so with 500 beats in the sixth view.
        chosen.append(of_class[np.minimum(places, of_class.size - 1)])
    return usable.take(np.sort(np.concatenate(chosen)))
