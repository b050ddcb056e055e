"""All checks of a recording in one call."""

import numpy as np
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.quality.amplitude_checks import amplitude_is_wrong
from ecgfl_cli.quality.beat_checks import check_beats
from ecgfl_cli.quality.disturbance_checks import check_disturbances
from ecgfl_cli.quality.extent_checks import check_extent
from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.label_checks import check_labels
from ecgfl_cli.quality.label_share_checks import is_paced
from ecgfl_cli.quality.lead_checks import check_leads, time_lost
from ecgfl_cli.quality.lead_measures import measure_lead
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.polarity_checks import check_polarity

DEFAULT_LIMITS = Limits()


def check(recording: Recording, beats: NDArray[np.int64], limits: Limits = DEFAULT_LIMITS) -> list[Finding]:
    """Everything worth saying about a recording, worst first.

    Parameters
    ----------
    recording : leads in millivolts, NaN where there is no signal.
    beats : shape (n,), samples of the detected R peaks at `recording.fs`, in any order; those outside the recording are ignored.
    limits : what to hold the recording against.

    Never raises on what the signal or the labels contain.
    """
    beats = np.unique(np.asarray(beats, dtype=np.int64))
    beats = beats[(beats >= 0) & (beats < recording.length)]
    # Values near the end of float32's range overflow on subtraction; the comparison with a limit still comes out right.
    gaps = recording.gaps()
    with np.errstate(over="ignore", invalid="ignore"):
        measures = [measure_lead(lead, recording.fs, gaps, beats, limits) for lead in recording.leads]
        about_labels = list(check_labels(recording, gaps, beats, limits))
    clear = [lead for lead in measures if not time_lost(lead, limits) and not amplitude_is_wrong(lead, limits)]
    findings = [
        *(Finding(remark.code, Severity(remark.severity), remark.problem, remark.fix) for remark in recording.remarks),
        *check_extent(recording, gaps, limits),
        *check_leads(recording, measures, limits),
        *(finding for lead in clear for finding in check_disturbances(lead, recording.fs, limits)),
        *(() if is_paced(recording, limits) else check_polarity(clear, limits)),
        *check_beats(recording, gaps, beats, limits),
        *about_labels,
    ]
    return sorted(findings, key=lambda finding: finding.severity.rank)
