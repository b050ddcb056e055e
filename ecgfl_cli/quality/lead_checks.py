"""Check each lead. The recording is refused only if no usable lead remains."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from ecgfl_adapters.recording import Lead, Recording
from ecgfl_adapters.samples import blocks
from numpy.typing import NDArray

from ecgfl_cli.quality.amplitude_checks import amplitude_is_wrong, check_amplitude
from ecgfl_cli.quality.findings import Finding, Severity, is_usable
from ecgfl_cli.quality.lead_measures import LeadMeasures, Loss
from ecgfl_cli.quality.lead_off_checks import check_lead_off
from ecgfl_cli.quality.limits import Limits

ANOTHER_LEAD = "Use the other leads (--lead NAME) or look at the electrode and cable of this one."


@dataclass(frozen=True)
class Defect:
    """A defect measured as a share of the recording's time.

    Above one limit it is a warning; above another, the lead is unusable. The warning is about the
    brief stretches. The long stretches of a usable lead are `lead-off`.
    """

    code: str
    loss: Callable[[LeadMeasures], Loss]
    warn_share: Callable[[Limits], float]
    words: str
    fix_all: str


DEFECTS = (
    Defect(
        "no-signal",
        lambda lead: lead.absent,
        lambda limits: limits.absent_warn_share,
        "has no signal",
        "Export the recording again; this file holds too little signal to use.",
    ),
    Defect(
        "flat-lead",
        lambda lead: lead.flat,
        lambda limits: limits.flat_warn_share,
        "is a flat line",
        "Check that the recorder was connected and that the channels are ECG (--lead NAME picks "
        "channels).",
    ),
    Defect(
        "clipping",
        lambda lead: lead.clipped,
        lambda limits: limits.clip_warn_share,
        "has its peaks cut off at its largest or smallest value",
        "Check the recorder's range and gain; a clipped signal cannot be repaired, record again.",
    ),
    Defect(
        "saturation",
        lambda lead: lead.saturated,
        lambda limits: limits.rail_warn_share,
        "sits at its largest or smallest value, as an amplifier at its rail",
        "Check the electrodes: a loose one drives the amplifier to its limit. What is lost "
        "cannot be repaired, record again.",
    ),
    Defect(
        "implausible-swings",
        lambda lead: lead.swinging,
        lambda limits: limits.swing_warn_share,
        "swings further than a heart can drive it",
        "Check the electrodes; if the whole signal is too large, give its true unit (--units uV, "
        "for instance).",
    ),
)


def check_leads(
    recording: Recording, measures: Sequence[LeadMeasures], limits: Limits
) -> Iterator[Finding]:
    """Yield the findings about leads.

    These are `non-finite`, `no-signal`, `flat-lead`, `clipping`, `saturation`, `lead-off`,
    `implausible-swings`, `implausible-amplitude`, `no-usable-lead` and `identical-leads`.
    """
    yield from _check_finite(measures)
    findings = list(check_amplitude(measures, limits))
    # A wrong unit makes every swing implausible: one cause, one finding.
    explained = {"implausible-swings"} if not is_usable(findings) else set()
    for defect in DEFECTS:
        if defect.code not in explained:
            findings += _check_defect(
                defect, recording, measures, defect.warn_share(limits), limits.lead_lost_share
            )
    yield from findings
    for lead in measures:
        if not time_lost(lead, limits):
            yield from check_lead_off(lead, recording, limits)
    if is_usable(findings) and all(_lost(lead, limits) for lead in measures):
        yield Finding(
            "no-usable-lead",
            Severity.ERROR,
            "no lead is usable: "
            + "; ".join(f"{lead.name}: {_lost(lead, limits)}" for lead in measures),
            "Look at the recorder and its electrodes, or export other leads and name them with "
            "--lead NAME.",
        )
    yield from _check_identical(recording.leads)


def time_lost(lead: LeadMeasures, limits: Limits) -> list[str]:
    """Return the codes of the defects that each cost more of this lead than is allowed."""
    return [
        defect.code for defect in DEFECTS if defect.loss(lead).whole.share > limits.lead_lost_share
    ]


def _lost(lead: LeadMeasures, limits: Limits) -> str:
    """Return the codes of the defects that make this lead unusable, separated by commas."""
    codes = time_lost(lead, limits)
    if amplitude_is_wrong(lead, limits):
        codes.append("implausible-amplitude")
    return ", ".join(codes)


def _check_finite(measures: Sequence[LeadMeasures]) -> Iterator[Finding]:
    for lead in measures:
        if lead.infinite:
            yield Finding(
                "non-finite",
                Severity.ERROR,
                f"lead {lead.name} holds {lead.infinite} infinite values, only finite ones (or "
                "NaN for no signal) are allowed",
                "The file's scaling is broken (a gain of 0?): export it again, or give the unit "
                "with --units mV.",
                lead=lead.name,
                value=float(lead.infinite),
                limit=0.0,
            )


def _check_defect(
    defect: Defect,
    recording: Recording,
    measures: Sequence[LeadMeasures],
    warn_share: float,
    lost_share: float,
) -> Iterator[Finding]:
    least = min(defect.loss(lead).whole.share for lead in measures)
    if least > lost_share:
        yield Finding(
            defect.code,
            Severity.ERROR,
            f"every lead {defect.words} for at least {least:.0%} of the recording "
            f"({', '.join(lead.name for lead in measures)}); "
            f"at most {lost_share:.0%} is allowed",
            defect.fix_all,
            value=least,
            limit=lost_share,
        )
        return
    for lead in measures:
        loss = defect.loss(lead)
        part, limit = (
            (loss.whole, lost_share) if loss.whole.share > lost_share else (loss.brief, warn_share)
        )
        share, longest = part.share, part.longest
        if share <= limit:
            continue
        start, stop = (edge / recording.fs for edge in longest) if longest else (None, None)
        where = (
            f", the longest stretch from {start:.1f} to {stop:.1f} s" if start is not None else ""
        )
        yield Finding(
            defect.code,
            Severity.WARNING,
            f"lead {lead.name} {defect.words} for {share * recording.seconds:.1f} s ({share:.2%} "
            f"of the recording){where}; "
            f"expected at most {limit:.1%}",
            ANOTHER_LEAD,
            lead=lead.name,
            start_s=start,
            stop_s=stop,
            value=share,
            limit=limit,
        )


def _check_identical(leads: Sequence[Lead]) -> Iterator[Finding]:
    for first, second in combinations(leads, 2):
        # A thousandth of the samples settles nearly every pair without a pass over a whole day.
        sparse = slice(None, None, first.samples.size // 1000 + 1)
        if not _moves(first.samples[sparse]) or not np.array_equal(
            first.samples[sparse], second.samples[sparse], equal_nan=True
        ):
            continue
        if all(
            np.array_equal(part, second.samples[at : at + part.size], equal_nan=True)
            for at, part in blocks(first.samples)
        ):
            yield Finding(
                "identical-leads",
                Severity.WARNING,
                f"leads {first.name} and {second.name} are identical sample by sample",
                f"Drop one (--lead {first.name}), and check the recorder's export: it wrote one "
                "channel twice.",
                lead=second.name,
                value=first.name,
            )


def _moves(samples: NDArray[np.float32]) -> bool:
    """Whether a lead can be compared. Two flat or absent leads are equal but not copies."""
    return bool(np.unique(samples[~np.isnan(samples)]).size > 1)
