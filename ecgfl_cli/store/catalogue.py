"""catalogue.sqlite: which recordings there are, whose they are, what was found about them."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ecgfl_cli.errors import UnusableInput

Status = Literal["usable", "unlabelled", "rejected"]
Split = Literal["train", "held-out"]

FIRST_VERSION = 2
"""The oldest schema that this program can bring up to date."""

MIGRATIONS = ("ALTER TABLE records ADD COLUMN label_origin TEXT NOT NULL DEFAULT ''",)
"""One statement for each step from one version to the next, from `FIRST_VERSION` on. A new one goes at the end."""

VERSION = FIRST_VERSION + len(MIGRATIONS)

FIRST_SCHEMA = """
CREATE TABLE records (
    record      TEXT PRIMARY KEY,
    patient     TEXT NOT NULL,
    person      TEXT NOT NULL,
    source      TEXT NOT NULL,
    status      TEXT NOT NULL,
    fs          REAL NOT NULL,
    length      INTEGER NOT NULL,
    leads       TEXT NOT NULL,
    lead        TEXT NOT NULL,
    format      TEXT NOT NULL,
    labels      TEXT NOT NULL,
    counts      TEXT NOT NULL,
    characteristics  TEXT NOT NULL,
    deidentification TEXT NOT NULL,
    added       TEXT NOT NULL
);
CREATE INDEX records_of_patient ON records (patient);
CREATE INDEX records_of_person ON records (person);
CREATE TABLE findings (
    record      TEXT NOT NULL REFERENCES records ON DELETE CASCADE,
    place       INTEGER NOT NULL,
    finding     TEXT NOT NULL,
    PRIMARY KEY (record, place)
);
CREATE TABLE patients (
    patient     TEXT PRIMARY KEY,
    split       TEXT NOT NULL
);
CREATE TABLE aliases (
    alias       TEXT PRIMARY KEY,
    patient     TEXT NOT NULL
);
"""


_FIX = "Restore it from a backup, or check the disk and the file's permissions"
_FIXES = {
    "SQLITE_FULL": "Free some space on the disk and run it again: what is stored already is kept",
    "SQLITE_READONLY": "Give the user that runs ecgfl the right to write it, or mount the disk for writing",
    "SQLITE_CANTOPEN": "Check that its folder exists, and that the user that runs ecgfl may write there",
    "SQLITE_BUSY": "Another program has it open: close that, and run it again",
    "SQLITE_IOERR": "Check the disk and the connection to it, and run it again: what is stored already is kept",
}


@dataclass(frozen=True)
class RecordRow:
    """One recording of the store.

    record, patient, person, source : pseudonyms; person is "" where the file names none, source stands for the file's name.
    lead : the lead that its beats are cut from. labels : digest of its labels, "" without any. counts : labelled beats by AAMI
    class name. characteristics : "age_band" and "sex" as far as they are kept. deidentification : codes of what was done, of
    `deidentify.METHODS`. label_origin : who made the labels ("reference", "reviewer"), "machine" where predictions were left out,
    "" where nobody knows: the store is older than this field.
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
        return self.length / self.fs


class Catalogue:
    """The SQLite file; each method is one transaction. Make it with `open_catalogue`.

    before_change : called before each transaction that changes something, so that the audit log names a change before it is made.
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
        """Add or replace a recording with its findings."""
        with self._changing() as transaction:
            transaction.execute("DELETE FROM records WHERE record = ?", (row.record,))
            transaction.execute(
                f"INSERT INTO records VALUES ({', '.join('?' * 16)})",
                (
                    row.record,
                    row.patient,
                    row.person,
                    row.source,
                    row.status,
                    row.fs,
                    row.length,
                    json.dumps(row.leads),
                    row.lead,
                    row.format,
                    row.labels,
                    json.dumps(row.counts, sort_keys=True),
                    json.dumps(row.characteristics, sort_keys=True),
                    json.dumps(row.deidentification),
                    row.added,
                    row.label_origin,
                ),
            )
            transaction.executemany(
                "INSERT INTO findings VALUES (?, ?, ?)",
                [
                    (row.record, place, json.dumps(finding, sort_keys=True))
                    for place, finding in enumerate(findings)
                ],
            )

    def remove(self, record: str) -> None:
        with self._changing() as transaction:
            transaction.execute("DELETE FROM records WHERE record = ?", (record,))
            transaction.execute(
                "DELETE FROM patients WHERE patient NOT IN (SELECT patient FROM records)"
            )
            transaction.execute(
                "DELETE FROM aliases WHERE patient NOT IN (SELECT patient FROM records)"
            )

    def rows(self) -> list[RecordRow]:
        """All recordings, ordered by their pseudonyms."""
        return [
            _row(values)
            for values in self._connection.execute("SELECT * FROM records ORDER BY record")
        ]

    def row(self, record: str) -> RecordRow | None:
        values = self._connection.execute(
            "SELECT * FROM records WHERE record = ?", (record,)
        ).fetchone()
        return None if values is None else _row(values)

    def rows_of(self, patient: str) -> list[RecordRow]:
        return self.rows_like(patient, "")

    def rows_like(self, patient: str, person: str) -> list[RecordRow]:
        """The recordings of a patient, and those of a person unless that is ""."""
        query = "SELECT * FROM records WHERE patient = ? OR (person = ? AND person != '') ORDER BY record"
        return [_row(values) for values in self._connection.execute(query, (patient, person))]

    def findings(self, record: str) -> list[dict[str, Any]]:
        query = "SELECT finding FROM findings WHERE record = ? ORDER BY place"
        return [json.loads(finding) for (finding,) in self._connection.execute(query, (record,))]

    def patient_behind(self, pseudonym: str) -> str:
        """The patient that an identifier's pseudonym stands for; itself unless it was united with another."""
        found = self._connection.execute(
            "SELECT patient FROM aliases WHERE alias = ?", (pseudonym,)
        ).fetchone()
        return pseudonym if found is None else str(found[0])

    def unite(self, alias: str, patient: str) -> None:
        """Make one patient of two. Whoever was trained on stays so: nothing that a model saw may measure it."""
        with self._changing() as transaction:
            transaction.execute(
                "UPDATE records SET patient = ? WHERE patient = ?", (patient, alias)
            )
            transaction.execute(
                "UPDATE aliases SET patient = ? WHERE patient = ?", (patient, alias)
            )
            transaction.execute("INSERT OR REPLACE INTO aliases VALUES (?, ?)", (alias, patient))
            query = "SELECT max(split) FROM patients WHERE patient IN (?, ?)"  # "train" comes after "held-out"
            (split,) = transaction.execute(query, (alias, patient)).fetchone()
            transaction.execute("DELETE FROM patients WHERE patient IN (?, ?)", (alias, patient))
            if split is not None:
                transaction.execute("INSERT INTO patients VALUES (?, ?)", (patient, split))

    def follow_split(self, patient: str, other: str) -> None:
        """Give a patient the split of another one, whose recording comes to it. Whoever was trained on stays so."""
        with self._changing() as transaction:
            query = "SELECT max(split) FROM patients WHERE patient IN (?, ?)"  # "train" comes after "held-out"
            (split,) = transaction.execute(query, (patient, other)).fetchone()
            if split is not None:
                transaction.execute(
                    "INSERT OR REPLACE INTO patients VALUES (?, ?)", (patient, split)
                )

    def has_source_of_another(self, source: str, patient: str) -> bool:
        """Whether a file of the same name brought a recording of another patient."""
        query = "SELECT 1 FROM records WHERE source = ? AND patient != ? LIMIT 1"
        return self._connection.execute(query, (source, patient)).fetchone() is not None

    def splits(self) -> dict[str, Split]:
        """Patient -> split, for the patients that have one."""
        return dict(self._connection.execute("SELECT patient, split FROM patients"))

    def assign(self, splits: dict[str, Split]) -> None:
        """Give patients their split, once and for all."""
        with self._changing() as transaction:
            transaction.executemany("INSERT INTO patients VALUES (?, ?)", sorted(splits.items()))


@contextmanager
def open_catalogue(path: Path) -> Iterator[Catalogue]:
    """Open the catalogue; make it when it is missing, and bring an older one up to date.

    Raises `UnusableInput` when the file is no catalogue, or one of a newer ecgfl.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # what is removed is overwritten
            if _version(connection) != VERSION:
                _bring_up_to_date(connection, path)
            yield Catalogue(connection)
    except sqlite3.DatabaseError as error:
        raise UnusableInput(f"{path}: {error}", _FIXES.get(error.sqlite_errorname, _FIX)) from error


def _nothing() -> None:
    """Do nothing: the caller has already logged the change."""


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Make or migrate the tables, in one transaction: a kill leaves the catalogue as it was."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")  # another ecgfl may be doing the same
        version = _version(connection)
        if version == 0:
            _refuse_to_start_over(path)
            for statement in FIRST_SCHEMA.split(";"):
                connection.execute(statement)
            version = FIRST_VERSION
        if not FIRST_VERSION <= version <= VERSION:
            raise UnusableInput(
                f"{path}: catalogue of version {version}; this ecgfl reads versions {FIRST_VERSION} to {VERSION}",
                "Use the ecgfl that made it"
                if version < FIRST_VERSION
                else "Install the newer ecgfl that wrote it last",
            )
        for statement in MIGRATIONS[version - FIRST_VERSION :]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _refuse_to_start_over(path: Path) -> None:
    """A new catalogue beside recordings means that the old one was lost; ingest would take them all for leftovers."""
    records = path.parent / "records"
    kept = (
        [folder for folder in records.iterdir() if not folder.name.startswith(".")]
        if records.is_dir()
        else []
    )
    if kept:
        raise UnusableInput(
            f"{path}: missing or empty, but {records} holds {len(kept)} recordings",
            "Restore catalogue.sqlite from your backup, or move records/ away and ingest the files again",
        )


def _row(values: tuple[Any, ...]) -> RecordRow:
    (
        record,
        patient,
        person,
        source,
        status,
        fs,
        length,
        leads,
        lead,
        file_format,
        labels,
        counts,
        kept,
        *rest,
    ) = values
    methods, added, label_origin = rest
    return RecordRow(
        *(
            record,
            patient,
            person,
            source,
            status,
            fs,
            length,
            tuple(json.loads(leads)),
            lead,
            file_format,
            labels,
        ),
        *(json.loads(counts), json.loads(kept), tuple(json.loads(methods)), added, label_origin),
    )
