"""All checks of a recording in one call."""

import numpy as np
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.leads import choose_lead
from ecgfl_cli.quality.amplitude_checks import amplitude_is_wrong
from ecgfl_cli.quality.beat_checks import check_beats
from ecgfl_cli.quality.disturbance_checks import check_disturbances
from ecgfl_cli.quality.extent_checks import check_extent
from ecgfl_cli.quality.findings import Finding, Severity, is_usable
from ecgfl_cli.quality.label_checks import check_labels
from ecgfl_cli.quality.label_share_checks import is_paced
from ecgfl_cli.quality.lead_checks import DEFECTS, check_leads, time_lost
from ecgfl_cli.quality.lead_measures import measure_lead
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.polarity_checks import check_polarity
from ecgfl_cli.quality.rhythm_checks import check_rhythm

DEFAULT_LIMITS = Limits()

LEAD_HIDDEN = {*(defect.code for defect in DEFECTS), "lead-off", "noise"}
"""Codes of findings which mean that beats cannot be seen in a lead for part of the time."""


def check(
    recording: Recording,
    beats: NDArray[np.int64],
    limits: Limits = DEFAULT_LIMITS,
    lead_name: str | None = None,
) -> list[Finding]:
    """Return all findings about a recording, worst first.

    It does not raise, whatever the signal or the labels contain.

    Parameters
    ----------
    recording : Recording
        Leads in millivolts; NaN where there is no signal.
    beats : array of int64, shape (n,)
        Detected R peaks in samples of the recording, in any order. Those outside it are ignored.
    limits : Limits
        Limits of the checks.
    lead_name : str or None
        Lead in which the beats were detected; None for the lead that `choose_lead` returns.
    """
    beats = np.unique(np.asarray(beats, dtype=np.int64))
    beats = beats[(beats >= 0) & (beats < recording.length)]
    # Values near the end of float32's range overflow on subtraction; the comparison with a limit
    # still comes out right.
    gaps = recording.gaps()
    with np.errstate(over="ignore", invalid="ignore"):
        measures = [
            measure_lead(lead, recording.fs, gaps, beats, limits) for lead in recording.leads
        ]
        about_labels = list(check_labels(recording, gaps, beats, limits))
    clear = [
        lead
        for lead in measures
        if not time_lost(lead, limits) and not amplitude_is_wrong(lead, limits)
    ]
    about_leads = [
        *check_leads(recording, measures, limits),
        *(finding for lead in clear for finding in check_disturbances(lead, recording.fs, limits)),
    ]
    about_beats = list(check_beats(recording, gaps, beats, limits))
    if is_usable(about_beats):
        # Do not compare with leads that are off, flat or noisy for part of the time: beats cannot
        # be seen there.
        legible = {lead.name for lead in clear} - {
            finding.lead for finding in about_leads if finding.code in LEAD_HIDDEN
        }
        rhythm_lead = choose_lead(recording, lead_name)
        others = [
            lead for lead in recording.leads if lead.name in legible and lead is not rhythm_lead
        ]
        about_beats.extend(check_rhythm(recording, beats, rhythm_lead, others, limits))
    findings = [
        *(
            Finding(remark.code, Severity(remark.severity), remark.problem, remark.fix)
            for remark in recording.remarks
        ),
        *check_extent(recording, gaps, limits),
        *about_leads,
        *(() if is_paced(recording, limits) else check_polarity(clear, limits)),
        *about_beats,
        *about_labels,
    ]
    return sorted(findings, key=lambda finding: finding.severity.rank)
