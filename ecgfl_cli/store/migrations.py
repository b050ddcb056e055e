"""The schema of catalogue.sqlite, as numbered migrations.

The schema version is SQLite's `user_version`. A new catalogue has version 0 and goes through every
migration, so that it has the same tables as one that was migrated. To change the schema, append a
`Migration`; never edit an earlier one.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.errors import UnusableInput


@dataclass(frozen=True)
class Migration:
    """One step of the schema.

    Parameters
    ----------
    version : int
        The schema version after this step.
    change : str
        What the step changes.
    statements : tuple of str
        SQL statements, run in order in one transaction.
    """

    version: int
    change: str
    statements: tuple[str, ...]


MIGRATIONS = (
    Migration(
        2,
        "the tables of the first release",
        (
            """
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
            )
            """,
            "CREATE INDEX records_of_patient ON records (patient)",
            "CREATE INDEX records_of_person ON records (person)",
            """
            CREATE TABLE findings (
                record      TEXT NOT NULL REFERENCES records ON DELETE CASCADE,
                place       INTEGER NOT NULL,
                finding     TEXT NOT NULL,
                PRIMARY KEY (record, place)
            )
            """,
            """
            CREATE TABLE patients (
                patient     TEXT PRIMARY KEY,
                split       TEXT NOT NULL
            )
            """,
            """
            CREATE TABLE aliases (
                alias       TEXT PRIMARY KEY,
                patient     TEXT NOT NULL
            )
            """,
        ),
    ),
    Migration(
        3,
        "who made the labels of a recording",
        ("ALTER TABLE records ADD COLUMN label_origin TEXT NOT NULL DEFAULT ''",),
    ),
)

OLDEST = MIGRATIONS[0].version
"""Oldest schema version that can be migrated. Version 1 existed only during development."""

LATEST = MIGRATIONS[-1].version


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the schema version of a catalogue; 0 for a new file."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables of a new catalogue, or migrate those of an older one.

    Each migration is one transaction. A process killed during a migration leaves the previous
    version, and the next call continues there. Several processes may migrate one catalogue at the
    same time.

    Parameters
    ----------
    connection : sqlite3.Connection
        An open catalogue.
    path : Path
        Its file, for messages.

    Raises
    ------
    UnusableInput
        The catalogue was written by a newer ecgfl or during development, or a new one would replace
        a lost one.
    """
    while (version := schema_version(connection)) != LATEST:
        _require_known(version, path)
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            version = schema_version(connection)  # another process may have migrated meanwhile
            _require_known(version, path)
            if version == 0:
                _require_no_records(path)
            migration = next((step for step in MIGRATIONS if step.version > version), None)
            if migration is not None:
                for statement in migration.statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {migration.version}")


def _require_known(version: int, path: Path) -> None:
    if version > LATEST:
        raise UnusableInput(
            f"{path}: schema version {version}, written by a newer ecgfl; this ecgfl reads "
            f"versions {OLDEST} to {LATEST}",
            "Install that newer ecgfl; nothing was changed",
        )
    if 0 < version < OLDEST:
        raise UnusableInput(
            f"{path}: schema version {version}, written during development; this ecgfl reads "
            f"versions {OLDEST} to {LATEST}",
            "Move catalogue.sqlite, records and beats to another folder, and ingest the "
            "recordings again",
        )


def _require_no_records(path: Path) -> None:
    """Raise `UnusableInput` if there are recordings: ingest deletes those without a row."""
    records = path.parent / "records"
    kept = (
        [folder for folder in records.iterdir() if not folder.name.startswith(".")]
        if records.is_dir()
        else []
    )
    if kept:
        raise UnusableInput(
            f"{path}: missing or empty, but {records} holds {len(kept)} recordings",
            "Restore catalogue.sqlite from your backup, or move records to another folder and "
            "ingest the files again",
        )
