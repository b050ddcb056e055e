"""catalogue.sqlite: recordings of the store, their findings and their patients' splits."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.store.migrations import LATEST, migrate, schema_version

Status = Literal["usable", "unlabelled", "rejected"]
Split = Literal["train", "held-out"]

_FIX = "Restore it from a backup, or check the disk and the file's permissions"
_FIXES = {
    "SQLITE_FULL": "Free some space on the disk and run it again; what is already stored is kept",
    "SQLITE_READONLY": "Give the user that runs ecgfl write permission, or remount the disk",
    "SQLITE_CANTOPEN": "Check that its folder exists and that this user may write there",
    "SQLITE_BUSY": "Close the other program that has it open, and run it again",
    "SQLITE_IOERR": (
        "Check the disk and the connection to it, and run it again; what is already stored is kept"
    ),
}
"""What to do about an error of SQLite, by its name."""


@dataclass(frozen=True)
class RecordRow:
    """One recording of the store: a row of the table `records`.

    Attributes
    ----------
    record, patient, person, source : str
        Pseudonyms. person is "" if the file names no person; source is that of the file's name.
    status : {"usable", "unlabelled", "rejected"}
        What the recording can be used for.
    fs : float
        Sampling rate in hertz.
    length : int
        Number of samples of a lead.
    leads : tuple of str
        Names of the leads.
    lead : str
        Lead that the beats are cut from.
    format : str
        Name of the format's adapter.
    labels : str
        SHA-256 of the labels; "" without labels.
    counts : dict of str to int
        Number of labelled beats by the name of their AAMI class.
    characteristics : dict of str to str
        "age_band" and "sex", if the site keeps them and the file states them.
    deidentification : tuple of str
        Codes of the methods applied; see `deidentify.METHODS`.
    added : str
        When the recording was added, ISO 8601.
    label_origin : str
        Who made the labels: "reference", "reviewer", "machine" (predictions, which were left out)
        or "" (unknown, because the row is older than this column).
    """

    record: str
    patient: str
    person: str
    source: str
    status: Status
    fs: float
    length: int
    leads: tuple[str, ...]
    lead: str
    format: str
    labels: str
    counts: dict[str, int]
    characteristics: dict[str, str]
    deidentification: tuple[str, ...]
    added: str
    label_origin: str = ""

    @property
    def seconds(self) -> float:
        """Duration of the recording."""
        return self.length / self.fs


COLUMNS = tuple(field.name for field in fields(RecordRow))
"""Columns of the table `records`, named like the fields of `RecordRow`."""

JSON_COLUMNS = {"leads", "counts", "characteristics", "deidentification"}
"""Columns that hold JSON text."""

_INSERT_RECORD = (
    f"INSERT INTO records ({', '.join(COLUMNS)}) VALUES "
    f"({', '.join(f':{name}' for name in COLUMNS)})"
)
_SELECT_RECORDS = f"SELECT {', '.join(COLUMNS)} FROM records"


class Catalogue:
    """The tables of catalogue.sqlite. Use `open_catalogue` to open one.

    Each method that changes a table is one transaction.

    Attributes
    ----------
    before_change : callable
        Called before each transaction that changes something, so that the audit log names a change
        before it is made.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.before_change: Callable[[], None] = _nothing

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        self.before_change()
        with self._connection as transaction:
            yield transaction

    def put(self, row: RecordRow, findings: list[dict[str, Any]]) -> None:
        """Add or replace a recording and its findings."""
        with self._changing() as transaction:
            transaction.execute("DELETE FROM records WHERE record = ?", (row.record,))
            transaction.execute(_INSERT_RECORD, _values(row))
            transaction.executemany(
                "INSERT INTO findings (record, place, finding) VALUES (?, ?, ?)",
                [
                    (row.record, place, json.dumps(finding, sort_keys=True))
                    for place, finding in enumerate(findings)
                ],
            )

    def remove(self, record: str) -> None:
        """Remove a recording, and its patient if the patient has no other recording."""
        with self._changing() as transaction:
            transaction.execute("DELETE FROM records WHERE record = ?", (record,))
            transaction.execute(
                "DELETE FROM patients WHERE patient NOT IN (SELECT patient FROM records)"
            )
            transaction.execute(
                "DELETE FROM aliases WHERE patient NOT IN (SELECT patient FROM records)"
            )

    def rows(self) -> list[RecordRow]:
        """Return all recordings, sorted by pseudonym."""
        return self._select("ORDER BY record")

    def row(self, record: str) -> RecordRow | None:
        """Return one recording, or None if it is not in the store."""
        return next(iter(self._select("WHERE record = :record", record=record)), None)

    def rows_of(self, patient: str) -> list[RecordRow]:
        """Return the recordings of a patient, sorted by pseudonym."""
        return self._select("WHERE patient = :patient ORDER BY record", patient=patient)

    def rows_like(self, patient: str, person: str) -> list[RecordRow]:
        """Return the recordings of a patient and those of a person; person "" matches none."""
        return self._select(
            "WHERE patient = :patient OR (person = :person AND person != '') ORDER BY record",
            patient=patient,
            person=person,
        )

    def _select(self, condition: str, **values: str) -> list[RecordRow]:
        return [
            _row(row) for row in self._connection.execute(f"{_SELECT_RECORDS} {condition}", values)
        ]

    def findings(self, record: str) -> list[dict[str, Any]]:
        """Return the findings of a recording, most severe first."""
        query = "SELECT finding FROM findings WHERE record = ? ORDER BY place"
        return [json.loads(row["finding"]) for row in self._connection.execute(query, (record,))]

    def patient_behind(self, pseudonym: str) -> str:
        """Return the patient of an identifier's pseudonym: itself, unless patients were merged."""
        query = "SELECT patient FROM aliases WHERE alias = ?"
        row = self._connection.execute(query, (pseudonym,)).fetchone()
        return pseudonym if row is None else str(row["patient"])

    def aliases(self) -> dict[str, set[str]]:
        """Return patient -> other pseudonyms, for the patients that were merged."""
        others: dict[str, set[str]] = {}
        for row in self._connection.execute("SELECT alias, patient FROM aliases"):
            others.setdefault(row["patient"], set()).add(row["alias"])
        return others

    def unite(self, alias: str, patient: str) -> None:
        """Merge two patients into one.

        If one of them was in the training split, the merged patient is too: a model is never
        measured on what it was trained on.
        """
        with self._changing() as transaction:
            transaction.execute(
                "UPDATE records SET patient = ? WHERE patient = ?", (patient, alias)
            )
            transaction.execute(
                "UPDATE aliases SET patient = ? WHERE patient = ?", (patient, alias)
            )
            transaction.execute(
                "INSERT OR REPLACE INTO aliases (alias, patient) VALUES (?, ?)", (alias, patient)
            )
            split = _common_split(transaction, alias, patient)
            transaction.execute("DELETE FROM patients WHERE patient IN (?, ?)", (alias, patient))
            if split is not None:
                transaction.execute(_SET_SPLIT, (patient, split))

    def follow_split(self, patient: str, other: str) -> None:
        """Give a patient the split of another one, whose recording it receives.

        If one of them was in the training split, the patient is too.
        """
        with self._changing() as transaction:
            split = _common_split(transaction, patient, other)
            if split is not None:
                transaction.execute(_SET_SPLIT, (patient, split))

    def has_source_of_another(self, source: str, patient: str) -> bool:
        """Whether a file of the same name brought a recording of another patient."""
        query = "SELECT 1 FROM records WHERE source = ? AND patient != ? LIMIT 1"
        return self._connection.execute(query, (source, patient)).fetchone() is not None

    def splits(self) -> dict[str, Split]:
        """Return patient -> split, for the patients that have one."""
        rows = self._connection.execute("SELECT patient, split FROM patients")
        return {row["patient"]: row["split"] for row in rows}

    def assign(self, splits: dict[str, Split]) -> None:
        """Store the split of patients that have none yet. A split never changes."""
        with self._changing() as transaction:
            transaction.executemany(
                "INSERT INTO patients (patient, split) VALUES (?, ?)", sorted(splits.items())
            )


_SET_SPLIT = "INSERT OR REPLACE INTO patients (patient, split) VALUES (?, ?)"


@contextmanager
def open_catalogue(path: Path) -> Iterator[Catalogue]:
    """Open a catalogue. A missing one is created, and an older one is migrated.

    Raises
    ------
    UnusableInput
        The file is not a catalogue, or was written by a newer ecgfl.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # overwrite what is deleted
            if schema_version(connection) != LATEST:
                migrate(connection, path)
            yield Catalogue(connection)
    except sqlite3.DatabaseError as error:
        raise UnusableInput(f"{path}: {error}", _FIXES.get(error.sqlite_errorname, _FIX)) from error


def _nothing() -> None:
    """Do nothing: the caller has already logged the change."""


def _common_split(transaction: sqlite3.Connection, patient: str, other: str) -> str | None:
    """Return "train" if one of the patients has it, else "held-out" if one has that, else None."""
    query = "SELECT max(split) AS split FROM patients WHERE patient IN (?, ?)"  # "train" sorts last
    row = transaction.execute(query, (patient, other)).fetchone()
    return None if row["split"] is None else str(row["split"])


def _values(row: RecordRow) -> dict[str, Any]:
    """Return the values of the columns."""
    values = {name: getattr(row, name) for name in COLUMNS}
    return values | {name: json.dumps(values[name], sort_keys=True) for name in JSON_COLUMNS}


def _row(values: sqlite3.Row) -> RecordRow:
    row = dict(values)
    row |= {name: json.loads(row[name]) for name in JSON_COLUMNS}
    row["leads"] = tuple(row["leads"])
    row["deidentification"] = tuple(row["deidentification"])
    return RecordRow(**row)
