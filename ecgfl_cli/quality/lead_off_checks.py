"""Check whether an electrode was off for a time in a lead that otherwise works."""

from collections.abc import Iterator

from ecgfl_adapters.recording import Recording

from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.lead_measures import LeadMeasures
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.parts import longest_of, total


def check_lead_off(lead: LeadMeasures, recording: Recording, limits: Limits) -> Iterator[Finding]:
    """Yield `lead-off`: a warning above a small share of the time, otherwise information."""
    longest = longest_of(lead.off)
    if longest is None:
        return
    start, stop = (edge / recording.fs for edge in longest)
    seconds = total(lead.off) / recording.fs
    share = seconds / recording.seconds
    much = share > limits.lead_off_warn_share
    times = "once" if len(lead.off) == 1 else f"{len(lead.off)} times"
    yield Finding(
        "lead-off",
        Severity.WARNING if much else Severity.INFO,
        f"lead {lead.name} gives nothing (absent, flat or at a rail) {times} for "
        f"{limits.lead_off_s:g} s or more, "
        f"{seconds:.1f} s together ({share:.1%} of the recording); the longest from {start:.1f} "
        f"to {stop:.1f} s; "
        f"expected at most {limits.lead_off_warn_share:.1%}",
        "Look at this lead's electrode and cable, or use the others (--lead NAME)."
        if much
        else "Nothing to do: beats there are read in the other leads.",
        lead=lead.name,
        start_s=start,
        stop_s=stop,
        value=share,
        limit=limits.lead_off_warn_share,
    )
