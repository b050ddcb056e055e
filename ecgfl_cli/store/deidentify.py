"""What of a recording may enter the store: an allow-list, everything else stays outside."""

import hashlib
import itertools
import re
from pathlib import Path

from ecgfl_adapters.recording import Lead, Recording, Source

from ecgfl_cli.site.keys import Pseudonyms

LEAD_NAME = re.compile(
    r"^((ECG|EKG|LEAD|MLI{1,3}|ML[123]|MV[1-9]|D?I{1,3}|A?V[RLF]|V[1-9]R?|CM[1-6]|CC5|CH|CHANNEL|[XYZ])[ _-]?){1,3}(#?\d{1,2})?$",
    re.I,
)
"""Names that leads have everywhere; another name might be anything, a patient's among them."""


def record_name(recording: Recording, pseudonyms: Pseudonyms) -> str:
    """The pseudonym of a recording, made from its signal alone: the same signal has the same name wherever it lies."""
    digest = hashlib.sha256(f"{recording.fs!r}".encode())
    for lead in recording.leads:
        digest.update(lead.samples.tobytes())
    return pseudonyms.name("record", digest.digest())


def deidentified(recording: Recording, name: str) -> Recording:
    """Signals, rate, common lead names and beat labels under a pseudonym; no source, date or free text."""
    common = {lead.name for lead in recording.leads if LEAD_NAME.match(lead.name)}
    numbered = (other for other in map("ECG{}".format, itertools.count(1)) if other not in common)
    leads = tuple(
        Lead(lead.name if lead.name in common else next(numbered), lead.samples, lead.step_mv) for lead in recording.leads
    )
    source = Source(Path(name), recording.source.format, "")
    return Recording(name, recording.fs, leads, source, recording.labels, recording.remarks)
