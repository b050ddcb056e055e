"""Reads what an EDF header says about the patient.

See https://www.edfplus.info/specs/edfplus.html, additional specification 3.
"""

import re
from datetime import date, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from ecgfl_adapters.edf.header import EdfHeader
from ecgfl_adapters.placeholders import is_placeholder
from ecgfl_adapters.recording import Source


class Patient(NamedTuple):
    """The four subfields of EDF+; "" and None if unknown, as in a plain EDF file."""

    code: str
    sex: Literal["F", "M"] | None
    born: date | None
    name: str


def source_of(path: Path, header: EdfHeader) -> Source:
    """Return the patient and the start of the recording from the header."""
    patient = patient_of(header.patient)
    fields = {
        "patient": header.patient,
        "recording": header.recording,
        "start": "" if header.start is None else header.start.isoformat(" "),
    }
    return Source(
        path=path,
        format="edf",
        patient=patient.code or ("" if is_placeholder(header.patient) else header.patient),
        person=f"{patient.name.casefold()} {patient.born.isoformat()}"
        if patient.name and patient.born
        else "",
        age=_age(patient.born, header.start),
        sex=patient.sex,
        start=header.start,
        identifiers={key: value for key, value in fields.items() if value},
    )


def patient_of(field: str) -> Patient:
    """Parse "MCH-0234567 F 02-MAY-1951 Haagse_Harry"; ignore a field of another form."""
    match = re.match(r"(\S+) ([FMX]) (\d\d-[A-Za-z]{3}-\d{4}|X) (\S+)", field)
    if match is None:
        return Patient("", None, None, "")
    code, sex, born, name = match.groups()
    code, name = ("" if is_placeholder(part) else part for part in (code, name))
    return Patient(
        code,
        "F" if sex == "F" else "M" if sex == "M" else None,
        _date(born),
        name.replace("_", " "),
    )


def _date(text: str) -> date | None:
    months = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
    try:
        day, month, year = text.upper().split("-")
        return date(int(year), months.index(month) + 1, int(day))
    except ValueError:
        return None


def _age(born: date | None, start: datetime | None) -> int | None:
    """Return the age in whole years at the start of the recording."""
    if born is None or start is None or start.date() < born:
        return None
    return start.year - born.year - ((start.month, start.day) < (born.month, born.day))
