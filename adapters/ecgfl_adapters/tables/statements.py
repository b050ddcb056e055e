"""Reads what the lines above the rows of a table state.

Examples are "# Sampling Rate (Hz):= 1000", "Sample Rate,512 hertz" and "Einheit;mV".
"""

import re
from collections.abc import Callable, Container, Iterable, Sequence
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
    """A line "key: value". `line` is its number, from 1."""

    line: int
    key: str
    value: str


class Statements(NamedTuple):
    """All lines "key: value" above the rows, in order."""

    all: tuple[Statement, ...]

    def one(self, keys: Iterable[str]) -> Statement | None:
        """Return the first statement with a value whose key is one of `keys`, in lower case."""
        accepted = set(keys)
        return self._first(lambda each: each.key.lower() in accepted and each.value != "")

    def _first(self, holds: Callable[[Statement], bool]) -> Statement | None:
        return next(filter(holds, self.all), None)

    @property
    def is_watch(self) -> bool:
        """Whether the file comes from an Apple Watch.

        The language differs, but the device is always named like "Watch6,1".
        """
        return any(_WATCH.fullmatch(statement.value) is not None for statement in self.all)

    @property
    def unit(self) -> Statement | None:
        """The statement of the unit of all samples, if there is one."""
        stated = self.one(_UNIT)
        if stated is None and self.is_watch:
            return self._first(lambda each: factor_to_mv(each.value) is not None)
        return stated if stated is not None and factor_to_mv(stated.value) is not None else None

    @property
    def lead(self) -> Statement | None:
        """The statement of the name of the only lead, if there is one.

        An Apple Watch writes the name without a key in the line above the unit.
        """
        stated, unit = self.one(_LEAD), self.unit
        if stated is None and self.is_watch and unit is not None:
            return self._first(lambda each: each.line == unit.line - 1 and each.value != "")
        return stated

    @property
    def patient(self) -> str:
        """The patient's identifier, else name and birth date, else the name.

        It is "" if nothing or only a placeholder is stated.
        """
        for keys in (_PATIENT, _PATIENT_NAME):
            statement = self.one(keys)
            if statement is not None and not is_placeholder(statement.value):
                return statement.value if keys is _PATIENT else self.person or statement.value
        return self.person

    @property
    def person(self) -> str:
        """Name and birth date in the form of EDF if both are stated, else ""."""
        name, born = self.one(_NAME), self.one(_BORN)
        if name is None or born is None or is_placeholder(name.value):
            return ""
        return f"{name.value.casefold()} {_as_date(born.value)}"


def statements_of(lines: Sequence[str], rows: Container[int]) -> Statements:
    """Return the statements in comments and in other lines.

    Parameters
    ----------
    lines : sequence of str
        The lines above the rows.
    rows : container of int
        Indices of lines that are read only if they are comments, such as those that name columns.
    """
    statements = []
    for number, line in enumerate(lines):
        if is_comment(line):
            text = line.strip().lstrip("#%/")
        elif number in rows:
            continue
        else:
            text = line
        match = _PAIR.fullmatch(text) if len(text) <= _LONGEST else None
        if match is not None and not text.lstrip().startswith("{"):
            statements.append(Statement(number + 1, _bare(match["key"]), _bare(match["value"])))
    return Statements(tuple(statements))


def states_rate(line: str) -> bool:
    """Return whether a line above the rows states a rate, rather than the names of two columns."""
    return any(
        _RATE.match(statement.key.lower()) and statement.value[:1].isdigit()
        for statement in statements_of([line], range(0)).all
    )


class Rate(NamedTuple):
    """A sampling rate in hertz, and where it is stated."""

    hertz: float
    statement: Statement


def stated_rate(path: Path, statements: Statements) -> Rate | None:
    """Return the stated sampling rate, if there is one.

    Raises `RateUnknown` for a rate that is not plausible, and if two statements differ.
    """
    stated = [each for each in statements.all if _RATE.match(each.key.lower())]
    if not stated and statements.is_watch:
        stated = [each for each in statements.all if _HERTZ.fullmatch(each.value)]
    rates = [Rate(_hertz(path, statement), statement) for statement in stated]
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
    """Return a date in ISO form if it is unambiguous, else unchanged."""
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
