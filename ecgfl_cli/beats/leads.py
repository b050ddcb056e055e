"""Choose the lead that a recording is read in."""

import numpy as np
from ecgfl_adapters.recording import Lead, Recording
from ecgfl_adapters.samples import blocks

from ecgfl_cli.errors import UnusableInput

LEAD_II = ("MLII", "ML2", "II", "LEAD II", "ECG II", "DII", "EKG II")
"""Names of (modified) limb lead II, the usual rhythm lead."""


def choose_lead(recording: Recording, name: str | None = None) -> Lead:
    """Return a lead of a recording.

    Parameters
    ----------
    recording : Recording
        The recording.
    name : str or None
        Name of the lead. None for lead II if it has a signal, else the first lead with a signal.

    Raises
    ------
    UnusableInput
        There is no lead of that name.
    """
    by_name = {lead.name.upper(): lead for lead in recording.leads}
    if name is not None:
        if name.upper() not in by_name:
            raise UnusableInput(
                f"{recording.source.path}: no lead '{name}'",
                "Name one of its leads with --lead: "
                f"{', '.join(lead.name for lead in recording.leads)}",
            )
        return by_name[name.upper()]
    alive = [lead for lead in recording.leads if _moves(lead)]
    rhythm = [lead for usual in LEAD_II for lead in alive if lead.name.upper() == usual]
    return (rhythm or alive or list(recording.leads))[0]


def usable_leads(recording: Recording, name: str | None = None) -> list[Lead]:
    """Return the lead that `choose_lead` returns, then the others that have a signal."""
    first = choose_lead(recording, name)
    return [first, *(lead for lead in recording.leads if lead is not first and _moves(lead))]


def _moves(lead: Lead) -> bool:
    """Whether a lead has a signal: two different values."""
    lowest, highest = np.inf, -np.inf
    for _, part in blocks(lead.samples):
        lowest, highest = min(lowest, np.fmin.reduce(part)), max(highest, np.fmax.reduce(part))
        if highest > lowest:
            return True
    return False
