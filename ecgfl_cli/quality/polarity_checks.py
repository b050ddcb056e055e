"""Whether leads point the way their names promise."""

from collections.abc import Iterator, Sequence

from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.quality.lead_measures import LeadMeasures
from ecgfl_cli.quality.limits import Limits

UPRIGHT = frozenset({"I", "II", "MLII", "ML2", "DI", "DII", "V4", "V5", "V6", "AVF"})
"""Leads that see the normal heart's main vector come towards them."""

DOWNWARD = frozenset({"AVR", "V1"})
"""Leads that see it go away. V2 points either way in healthy people."""

TURNED_BY_THE_HEART = frozenset({"V1"})
"""Right bundle branch block alone turns it, as in mitdb 212 and 231."""


def check_polarity(leads: Sequence[LeadMeasures], limits: Limits) -> Iterator[Finding]:
    """Yield `reversed-leads` and `inverted-lead`. `leads` have a signal and no paced rhythm.

    Left bundle branch and left anterior block turn the QRS of limb leads, too: a lead alone is only
    worth knowing. Two that would both be right under the other's name are hardly a heart's doing.
    """
    wrong = [lead for lead in leads if _points(lead, limits) == -_expected(lead.name) != 0]
    upright = [lead for lead in wrong if _expected(lead.name) > 0]
    downward = [lead for lead in wrong if _expected(lead.name) < 0]
    if upright and downward:
        first, second = upright[0], downward[0]
        yield Finding(
            "reversed-leads",
            Severity.WARNING,
            f"leads {first.name} and {second.name} look exchanged: the QRS of {first.name} "
            "points down "
            f"({_polarity(first):.2f}), that of {second.name} up ({_polarity(second):.2f}); "
            f"beyond {limits.polarity_clear:g} of 1 either way is clear",
            "Compare with another ECG of the patient. If the electrodes or the channel names "
            "were exchanged, correct the names "
            "and ingest again.",
            lead=first.name,
            value=_polarity(first),
            limit=-limits.polarity_clear,
        )
        return
    for lead in wrong:
        if _plain(lead.name) in TURNED_BY_THE_HEART:
            continue
        sign = _expected(lead.name)
        yield Finding(
            "inverted-lead",
            Severity.INFO,
            f"the QRS of lead {lead.name} points {'down' if sign > 0 else 'up'} "
            f"({_polarity(lead):.2f} on a scale from -1 to 1, "
            f"{'under' if sign > 0 else 'over'} {-sign * limits.polarity_clear:g} is clear), "
            "usual is the other way",
            "Compare with another ECG of the patient: electrodes exchanged, a channel inverted, "
            "or the heart itself (bundle "
            "branch or fascicular block).",
            lead=lead.name,
            value=_polarity(lead),
            limit=-sign * limits.polarity_clear,
        )


def _expected(name: str) -> int:
    """Return the expected polarity of a lead by its name: 1, -1, or 0 if unknown."""
    plain = _plain(name)
    return 1 if plain in UPRIGHT else -1 if plain in DOWNWARD else 0


def _plain(name: str) -> str:
    return name.upper().removeprefix("ECG").removeprefix("EKG").removeprefix("LEAD").strip(" _-")


def _points(lead: LeadMeasures, limits: Limits) -> int:
    """1 up, -1 down, 0 neither clearly."""
    return int(_polarity(lead) >= limits.polarity_clear) - int(
        _polarity(lead) <= -limits.polarity_clear
    )


def _polarity(lead: LeadMeasures) -> float:
    return lead.qrs.polarity if lead.qrs is not None else 0.0
