"""A home outlives releases: the catalogue of an earlier ecgfl is brought up to date, and that of a newer one is refused."""

import multiprocessing
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.store.catalogue import MIGRATIONS, VERSION, open_catalogue

Ecgfl = Callable[..., Any]

VERSION_2 = """
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
"""The schema that released homes have. A copy on purpose: the program's own may not drift from it without a failure here."""

TABLES = ("records", "findings", "patients", "aliases")


@pytest.fixture
def old(site: Path, ecgfl: Ecgfl, export: Any) -> Path:
    """The home of a site whose catalogue has version 2, with two recordings that are split."""
    assert ecgfl("ingest", export(1), export(2)).code == 0
    assert ecgfl("segment").code == 0
    path = site / "catalogue.sqlite"
    rows = content(path)
    path.unlink()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(VERSION_2)
        for table in TABLES:
            for row in rows[table]:
                values = row[:15] if table == "records" else row
                connection.execute(
                    f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values
                )
        connection.execute("INSERT INTO aliases VALUES ('a' , 'b')")
        connection.execute("PRAGMA user_version = 2")
    return site


def content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in TABLES
        }


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        return int(found)


def test_keeps_every_row(old: Path, ecgfl: Ecgfl, listed: Any) -> None:
    path = old / "catalogue.sqlite"
    before = content(path)
    rows = listed()
    assert version(path) == VERSION
    after = content(path)
    assert [row[:15] for row in after["records"]] == before["records"]
    assert {table: after[table] for table in TABLES[1:]} == {
        table: before[table] for table in TABLES[1:]
    }
    assert [row["label_origin"] for row in rows] == ["", ""]
    assert {row["status"] for row in rows} == {"usable"}
    assert {row["split"] for row in rows} == {"train", "held-out"} or {
        row["split"] for row in rows
    } == {"train"}
    assert len(ecgfl("segment", "--json").json["records"]) == 2


def test_ingesting_again_tells_who_made_the_labels(
    old: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    listed: Any,
) -> None:
    before = {row["record"]: row["split"] for row in listed()}
    assert ecgfl("ingest", export(1), export(2), "--json").json["outcomes"] == {"updated": 2}
    assert [row["label_origin"] for row in listed()] == ["reference", "reference"]
    assert {row["record"]: row["split"] for row in listed()} == before


@pytest.mark.parametrize("number", [1, VERSION + 1])
def test_another_version_is_refused(old: Path, ecgfl: Ecgfl, number: int) -> None:
    path = old / "catalogue.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {number}")
    before = path.read_bytes()
    ran = ecgfl("dataset", "list")
    assert (ran.code, len(ran.problems)) == (3, 1)
    assert (
        f"catalogue of version {number}; this ecgfl reads versions 2 to {VERSION}"
        in ran.problems[0]
    )
    assert ("newer ecgfl" in ran.problems[0]) == (number > VERSION)
    assert path.read_bytes() == before


def test_a_kill_leaves_the_old_catalogue(old: Path, listed: Any) -> None:
    path = old / "catalogue.sqlite"
    before = content(path)
    killed = f"""
import os, signal, sqlite3
from pathlib import Path
from ecgfl_cli.store import catalogue
class Killing(sqlite3.Connection):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGTERM))
connect = sqlite3.connect
catalogue.sqlite3.connect = lambda path: connect(path, factory=Killing)
catalogue.MIGRATIONS = ({MIGRATIONS[0]!r}, "SELECT die()")
with catalogue.open_catalogue(Path({str(path)!r})):
    print("not killed")
"""
    ended = subprocess.run(
        [sys.executable, "-c", killed], capture_output=True, text=True, check=False
    )
    assert ended.returncode in {-signal.SIGTERM, signal.SIGTERM}, ended.stderr
    assert version(path) == 2
    assert content(path) == before
    assert len(listed()) == 2
    assert version(path) == VERSION


def migrate(path: Path) -> int:
    with open_catalogue(path) as catalogue:
        return len(catalogue.rows())


def test_several_may_migrate_at_once(old: Path) -> None:
    """A person may look into the store while the nightly join starts."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert pool.map(migrate, [old / "catalogue.sqlite"] * 8, chunksize=1) == [2] * 8
