"""The beats that a recording is checked by."""

import numpy as np
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.conditioning import condition
from ecgfl_cli.beats.detection import detect
from ecgfl_cli.beats.leads import choose_lead

CHECKED_FS = 128.0
"""Hertz; models see beats at this rate, too."""


def rhythm_beats(recording: Recording, lead_name: str | None) -> NDArray[np.int64]:
    """R peaks in samples of the recording, shape (n,), found in the lead of that name or in the usual one."""
    lead = choose_lead(recording, lead_name)
    fs = min(CHECKED_FS, recording.fs)
    found = detect(condition(lead.samples, recording.fs, fs), fs)
    return np.asarray(np.rint(found * (recording.fs / fs)), dtype=np.int64)
