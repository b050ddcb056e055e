"""Check the amplitude of the QRS, which shows a wrong unit."""

from collections.abc import Iterator, Sequence

from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.lead_measures import LeadMeasures
from ecgfl_cli.quality.limits import Limits


def amplitude_is_wrong(lead: LeadMeasures, limits: Limits) -> bool:
    """Whether the QRS of a lead is outside the wide limits; False without a signal."""
    lowest, highest = limits.qrs_error_mv
    return _judgeable(lead, limits) and not lowest <= _qrs(lead) <= highest


def check_amplitude(measures: Sequence[LeadMeasures], limits: Limits) -> Iterator[Finding]:
    """Yield `implausible-amplitude`: an error if every lead has it, else a warning for each."""
    judged = [lead for lead in measures if _judgeable(lead, limits)]
    if judged and all(amplitude_is_wrong(lead, limits) for lead in judged):
        lowest, highest = limits.qrs_error_mv
        largest = max(judged, key=_qrs)
        sizes = ", ".join(f"{lead.name} {_qrs(lead):.3g} mV" for lead in judged)
        yield Finding(
            "implausible-amplitude",
            Severity.ERROR,
            f"the QRS measures {sizes}; expected {lowest:g} to {highest:g} mV",
            _unit_hint(_qrs(largest), limits),
            value=_qrs(largest),
            limit=f"{lowest:g}..{highest:g}",
        )
        return
    lowest, highest = limits.qrs_warn_mv
    for lead in judged:
        if not lowest <= _qrs(lead) <= highest:
            yield Finding(
                "implausible-amplitude",
                Severity.WARNING,
                f"the QRS in lead {lead.name} measures {_qrs(lead):.3g} mV, expected {lowest:g} "
                f"to {highest:g} mV",
                "Check the electrode and the unit of this channel; --lead NAME restricts the "
                "recording to the others.",
                lead=lead.name,
                value=_qrs(lead),
                limit=f"{lowest:g}..{highest:g}",
            )


def _judgeable(lead: LeadMeasures, limits: Limits) -> bool:
    return (
        lead.qrs_mv is not None
        and max(lead.absent.whole.share, lead.flat.whole.share) <= limits.lead_lost_share
    )


def _qrs(lead: LeadMeasures) -> float:
    return lead.qrs_mv if lead.qrs_mv is not None else 0.0


def _unit_hint(qrs_mv: float, limits: Limits) -> str:
    lowest, highest = limits.qrs_warn_mv
    if lowest <= qrs_mv * 1000.0 <= highest:
        return "The samples look like volts: read the file with --units V."
    if qrs_mv < lowest:
        return (
            "The unit is probably wrong: give the true one with --units (V, mV, uV, nV or "
            "adc:GAIN)."
        )
    microvolts = (
        " or, if they are microvolts, with --units uV"
        if lowest <= qrs_mv / 1000.0 <= highest
        else ""
    )
    return (
        "The samples look like raw converter counts: read the file with --units adc:GAIN "
        f"(counts per mV){microvolts}."
    )
