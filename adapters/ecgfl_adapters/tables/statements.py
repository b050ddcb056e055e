"""What the lines above the rows of a table state: "# Sampling Rate (Hz):= 1000", "Sample Rate,512
hertz", "Einheit;mV".
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.errors import RateUnknown
from ecgfl_adapters.placeholders import is_placeholder
from ecgfl_adapters.tables.cells import is_comment
from ecgfl_adapters.units import factor_to_mv

_PAIR = re.compile(r"\s*(?P<key>[^:=,;\t]+?)\s*(?::?[:=]|[,;\t])\s*(?P<value>.*?)\s*")
_RATE = re.compile(
    r"(?:ecg |ekg )?(?:(?:sampling|sample)[ _-]?(?:rate|freq)|samples? per second|fs\b|fs_hz"
    r"|sfreq|abtast|messrate|samplerate"
    r"|fréquence d.échantillonnage|frecuencia de muestreo|frequenza di campionamento"
    r"|taxa de amostragem|bemonsteringsfrequentie)"
)
_UNIT = {
    "unit",
    "units",
    "einheit",
    "einheiten",
    "unité",
    "unidad",
    "unità",
    "unidade",
    "eenheid",
    "amplitude unit",
}
_LEAD = {"lead", "ableitung", "dérivation", "derivación", "derivazione", "derivação", "afleiding"}
_NAME = {"name", "patient", "patient name", "nom", "nombre", "nome", "naam", "patientenname"}
_BORN = {
    "date of birth", "born", "birth date", "birthdate", "dob", "geburtsdatum", "date de naissance",
    "fecha de nacimiento",
    "data di nascita", "data de nascimento", "geboortedatum",
}  # fmt: skip
_PATIENT = {
    "patient id", "patient_id", "patientid", "patient-id", "patient number", "patient no",
    "patient no.", "patient code", "mrn",
    "patienten-id", "patientennummer", "patienten-nr", "patienten-nr.", "id patient",
    "id paciente", "id paziente",
    "subject id", "subject_id", "subjectid", "subject", "subject number", "participant id",
    "participant_id", "participant",
}  # fmt: skip
_PATIENT_NAME = {"patient", "patient name", "patientname", "patient_name", "patientenname"}
_WATCH = re.compile(r"Watch\d+,\d+")
_HERTZ = re.compile(r"[\d.,]+\s*(?:hz|hertz)", re.IGNORECASE)
_HIGHEST_HZ = 100_000
_THOUSANDS = re.compile(r"\d[.,]\d{3}(?!\d)")
"""What may be a thousand hertz ("1,000", "1.000") as well as one."""
_LONGEST = 500
"""Characters of a statement: a longer line is something else, and would keep the pattern busy."""


class Statement(NamedTuple):
    """line : from 1. key : as it stands in the file."""

    line: int
    key: str
    value: str


class Statements(NamedTuple):
    """Every "key: value" above and between the rows, in order."""

    all: tuple[Statement, ...]

    def one(self, keys: Iterable[str]) -> Statement | None:
        """Return the first whose key is one of `keys`, in lower case, and that has a value."""
        wanted = set(keys)
        return next(
            (found for found in self.all if found.key.lower() in wanted and found.value), None
        )

    @property
    def is_watch(self) -> bool:
        """Return whether an Apple Watch wrote them, in whatever language: the device is called
        "Watch6,1" in each.
        """
        return any(_WATCH.fullmatch(found.value) for found in self.all)

    @property
    def unit(self) -> Statement | None:
        """Return the unit of all samples."""
        found = self.one(_UNIT)
        if found is None and self.is_watch:
            found = next((each for each in self.all if factor_to_mv(each.value) is not None), None)
        return found if found is not None and factor_to_mv(found.value) is not None else None

    @property
    def lead(self) -> Statement | None:
        """Return the name of the one lead."""
        found = self.one(_LEAD)
        if (
            found is None and self.is_watch and self.unit is not None
        ):  # it stands just above the unit
            found = next(
                (each for each in self.all if each.line == self.unit.line - 1 and each.value), None
            )
        return found

    @property
    def patient(self) -> str:
        """Return the patient's identifier, else name and birth date, else the name; "" where
        nothing or only a placeholder is stated.
        """
        for keys in (_PATIENT, _PATIENT_NAME):
            found = self.one(keys)
            if found is not None and not is_placeholder(found.value):
                return found.value if keys is _PATIENT else self.person or found.value
        return self.person

    @property
    def person(self) -> str:
        """Return name and birth date if both are stated, in the form of EDF's; else ""."""
        name, born = self.one(_NAME), self.one(_BORN)
        if name is None or born is None or is_placeholder(name.value):
            return ""
        return f"{name.value.casefold()} {_as_date(born.value)}"


def statements_of(lines: Sequence[str], rows: range) -> Statements:
    """Return the statements in comments, and in other lines except `rows` and single words."""
    found = []
    for number, line in enumerate(lines):
        if is_comment(line):
            text = line.strip().lstrip("#%/")
        elif number in rows:
            continue
        else:
            text = line
        match = _PAIR.fullmatch(text) if len(text) <= _LONGEST else None
        if match is not None and not text.lstrip().startswith("{"):
            found.append(Statement(number + 1, _bare(match["key"]), _bare(match["value"])))
    return Statements(tuple(found))


def states_rate(line: str) -> bool:
    """Return whether a line above the rows is the statement of a rate rather than the names of two
    columns.
    """
    return any(
        _RATE.match(each.key.lower()) and each.value[:1].isdigit()
        for each in statements_of([line], range(0)).all
    )


class Rate(NamedTuple):
    hertz: float
    statement: Statement


def stated_rate(path: Path, statements: Statements) -> Rate | None:
    """Return the sampling rate.

    Raises `RateUnknown` for one that makes no sense, and where two differ.
    """
    found = [each for each in statements.all if _RATE.match(each.key.lower())]
    if not found and statements.is_watch:
        found = [each for each in statements.all if _HERTZ.fullmatch(each.value)]
    rates = [Rate(_hertz(path, each), each) for each in found]
    if len({rate.hertz for rate in rates}) > 1:
        first, second = rates[0], next(rate for rate in rates if rate.hertz != rates[0].hertz)
        raise RateUnknown(
            path,
            f"line {first.statement.line} states {first.hertz:g} Hz and line "
            f"{second.statement.line} {second.hertz:g} Hz",
            "Correct the wrong one, or give fs in a [[csv]] layout in site.toml",
        )
    return rates[0] if rates else None


def _hertz(path: Path, statement: Statement) -> float:
    key, value = statement.key, statement.value.replace("\u00a0", " ")
    number = re.match(r"(\d+(?:[.,]\d+)?|[.]\d+)(?:[eE][+-]?\d+)?(?![.,\d])", value)
    fs = float(number[0].replace(",", ".")) if number else 0.0
    fs *= 1000.0 if "khz" in f"{key} {value}".lower() else 1.0
    if not 0 < fs <= _HIGHEST_HZ or (_THOUSANDS.match(value) and key.lower() != "fs_hz"):
        raise RateUnknown(
            path, f"line {statement.line}, comment {key.lower()!r} states the rate {value!r}",
            "Correct it, for example '# fs_hz: 360'",
        )  # fmt: skip
    return fs


def _as_date(text: str) -> str:
    """In ISO's form where that is clear, else as it stands."""
    for form in (
        "%Y-%m-%d",
        "%d.%m.%Y",
        "%b %d, %Y",
        "%d %b %Y",
        "%d-%b-%Y",
        "%B %d, %Y",
        "%d %B %Y",
    ):
        try:
            return date.isoformat(datetime.strptime(text, form))
        except ValueError:
            continue
    return text.casefold()


def _bare(text: str) -> str:
    return text.strip().strip("'\"").strip()
