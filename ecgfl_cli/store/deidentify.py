"""De-identify a recording: only what is on an allow-list enters the store."""

import itertools
import re
from pathlib import Path

from ecgfl_adapters.recording import Lead, Recording, Source

from ecgfl_cli.site.keys import Pseudonyms
from ecgfl_cli.store.reading import Reading

LEAD_NAME = re.compile(
    r"^((ECG|EKG|LEAD|CH|CHANNEL|MLI{1,3}|ML[1-6]|MV[1-9]|D?I{1,3}|D[123]|A?V[RLF]|V[1-9]R?"
    r"|CM[1-6]|CC5|[XYZ])[ _-]?){1,3}"
    r"(#?\d{1,2})?$",
    re.I,
)
"""Common names of leads. Any other name might be a patient's."""

OLDEST_BAND = 90
"""Age in years from which the band is open. HIPAA's safe harbour (45 CFR 164.514) allows no age
over 89."""

METHODS = {
    "113100": "Basic Application Confidentiality Profile",
    "113105": "Clean Descriptors Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
}
"""Codes of DICOM PS3.16, context group 7050, which PS3.15 annex E describes. Times inside a
recording stay, counted from its start (113107); no date or time of day does."""


def record_name(recording: Recording, pseudonyms: Pseudonyms) -> str:
    """Return the pseudonym of a recording, which depends on its signal alone."""
    return pseudonyms.name("record", recording.signal_digest())


def deidentified(recording: Recording, name: str) -> Recording:
    """Return the signals, rate, common lead names and beat labels under a pseudonym.

    Source, dates and free text are left out.
    """
    common = {lead.name for lead in recording.leads if LEAD_NAME.match(lead.name)}
    numbered = (name for name in map("ECG{}".format, itertools.count(1)) if name not in common)
    leads = tuple(
        Lead(lead.name if lead.name in common else next(numbered), lead.samples, lead.step_mv)
        for lead in recording.leads
    )
    source = Source(Path(name), recording.source.format, "")
    return Recording(
        name,
        recording.fs,
        leads,
        source,
        recording.labels,
        recording.remarks,
        recording.label_origin,
    )


def characteristics(source: Source, reading: Reading) -> dict[str, str]:
    """Return the age band ("60-69") and sex, if the site keeps them and the file states them."""
    kept = {}
    if reading.keep_age_band and source.age is not None:
        decade = source.age // 10 * 10
        kept["age_band"] = f"{OLDEST_BAND}+" if decade >= OLDEST_BAND else f"{decade}-{decade + 9}"
    if reading.keep_sex and source.sex is not None:
        kept["sex"] = source.sex
    return kept


def methods(reading: Reading) -> list[str]:
    """Return the codes of the methods applied, keys of `METHODS`."""
    keeps_characteristics = reading.keep_age_band or reading.keep_sex
    return [code for code in METHODS if code != "113108" or keeps_characteristics]
