"""The beats that a recording is checked by."""

import numpy as np
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.conditioning import condition
from ecgfl_cli.beats.detection import detect
from ecgfl_cli.beats.leads import choose_lead

CHECKED_FS = 128.0
"""Hertz; models see beats at this rate, too."""

STRETCH_SECONDS, MARGIN_SECONDS = 3 * 3600.0, 60.0
"""Longest stretch that is examined at once, in seconds. Stretches overlap, and a week needs no more
memory than a few hours."""


def rhythm_beats(recording: Recording, lead_name: str | None) -> NDArray[np.int64]:
    """Return the R peaks of a lead, shape (n,), in samples of the recording.

    `lead` is its name, or None for the usual lead.
    """
    samples = choose_lead(recording, lead_name).samples
    fs = min(CHECKED_FS, recording.fs)
    step, margin = round(STRETCH_SECONDS * recording.fs), round(MARGIN_SECONDS * recording.fs)
    beats = []
    for start in range(0, samples.size, step):
        first, stop = max(0, start - margin), start + step
        peaks = detect(condition(samples[first : stop + margin], recording.fs, fs), fs)
        places = first + np.rint(peaks * (recording.fs / fs)).astype(np.int64)
        beats.append(places[(places >= start) & (places < stop)])
    return np.concatenate(beats)
