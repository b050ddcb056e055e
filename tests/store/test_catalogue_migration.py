"""The catalogue of an earlier ecgfl is migrated; that of a newer one is refused."""

import multiprocessing
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.store.catalogue import open_catalogue
from ecgfl_cli.store.migrations import LATEST, MIGRATIONS, OLDEST

Ecgfl = Callable[..., Any]

HOMES = Path(__file__).resolve().parents[1] / "data" / "homes"

SCHEMA_3_HOME = HOMES / "schema-3.zip"
"""A home made by the ecgfl that introduced schema 3: `init --site st-mary`, `ingest` of the
synthetic recordings 1 and 2 (20 s at 250 Hz, 15 % PVCs) and `segment`. Do not replace it: add
another file for another schema. """

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
"""The schema of the first release. A copy on purpose: the test fails if the program's own is
edited."""

SCHEMAS = {
    2: VERSION_2,
    3: VERSION_2 + "ALTER TABLE records ADD label_origin TEXT NOT NULL DEFAULT '';",
}
"""Schema version -> statements that make its tables. Add one with each migration."""

TABLES = ("records", "findings", "patients", "aliases")


def columns(path: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
            for table in TABLES
        }


def content(
    path: Path, names: dict[str, list[str]] | None = None
) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each table, in all or in the named columns."""
    names = names or columns(path)
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(
                f"SELECT {', '.join(names[table])} FROM {table} ORDER BY 1, 2"
            ).fetchall()
            for table in TABLES
        }


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (number,) = connection.execute("PRAGMA user_version").fetchone()
        return int(number)


@pytest.fixture(params=SCHEMAS)
def old(request: pytest.FixtureRequest, site: Path, ecgfl: Ecgfl, export: Any) -> Path:
    """The home of a site with two recordings that have a split; its catalogue has an old schema."""
    assert ecgfl("ingest", export(1), export(2)).code == 0
    assert ecgfl("segment").code == 0
    path = site / "catalogue.sqlite"
    new = path.rename(site / "new.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMAS[request.param])
    names = columns(path)
    rows = content(new, names)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in TABLES:
            marks = ", ".join("?" * len(names[table]))
            into = f"{table} ({', '.join(names[table])})"
            connection.executemany(f"INSERT INTO {into} VALUES ({marks})", rows[table])
        connection.execute("INSERT INTO aliases VALUES ('a' , 'b')")
        connection.execute(f"PRAGMA user_version = {request.param}")
    new.unlink()
    return site


def test_schemas_of_this_file_are_complete() -> None:
    assert [*SCHEMAS] == [migration.version for migration in MIGRATIONS]
    assert [*SCHEMAS] == [*range(OLDEST, LATEST + 1)]


def test_new_and_migrated_catalogues_have_the_same_schema(old: Path, tmp_path: Path) -> None:
    with open_catalogue(old / "catalogue.sqlite"), open_catalogue(tmp_path / "new.sqlite"):
        pass
    assert columns(old / "catalogue.sqlite") == columns(tmp_path / "new.sqlite")
    assert version(old / "catalogue.sqlite") == version(tmp_path / "new.sqlite") == LATEST


def test_migration_keeps_every_row(old: Path, ecgfl: Ecgfl, listed: Any) -> None:
    path = old / "catalogue.sqlite"
    names, before, first = columns(path), content(path), version(path)
    rows = listed()
    assert version(path) == LATEST
    assert content(path, names) == before
    assert [row["label_origin"] for row in rows] == ["" if first < 3 else "reference"] * 2
    assert {row["status"] for row in rows} == {"usable"}
    assert {row["split"] for row in rows} == {"train", "held-out"} or {
        row["split"] for row in rows
    } == {"train"}
    assert len(ecgfl("segment", "--json").json["records"]) == 2


@pytest.mark.parametrize("old", [2], indirect=True)
def test_ingesting_again_stores_who_made_the_labels(
    old: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    listed: Any,
) -> None:
    before = {row["record"]: row["split"] for row in listed()}
    assert ecgfl("ingest", export(1), export(2), "--json").json["outcomes"] == {"updated": 2}
    assert [row["label_origin"] for row in listed()] == ["reference", "reference"]
    assert {row["record"]: row["split"] for row in listed()} == before


@pytest.mark.parametrize("number", [1, LATEST + 1])
@pytest.mark.parametrize("old", [2], indirect=True)
def test_unknown_version_is_refused(old: Path, ecgfl: Ecgfl, number: int) -> None:
    path = old / "catalogue.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {number}")
    before = path.read_bytes()
    ran = ecgfl("dataset", "list")
    assert (ran.code, len(ran.problems)) == (3, 1)
    assert f"schema version {number}, " in ran.problems[0]
    assert f"versions {OLDEST} to {LATEST}" in ran.problems[0]
    assert ("newer ecgfl" in ran.problems[0]) == (number > LATEST)
    assert path.read_bytes() == before


@pytest.mark.parametrize("old", [2], indirect=True)
def test_kill_during_migration_keeps_the_last_whole_version(old: Path, listed: Any) -> None:
    path = old / "catalogue.sqlite"
    before = content(path)
    killed = f"""
import os, signal, sqlite3
from dataclasses import replace
from pathlib import Path
from ecgfl_cli.store import catalogue, migrations
class Killing(sqlite3.Connection):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGTERM))
connect = sqlite3.connect
catalogue.sqlite3.connect = lambda path: connect(path, factory=Killing)
first, third = migrations.MIGRATIONS
third = replace(third, statements=(*third.statements, "SELECT die()"))
migrations.MIGRATIONS = (first, third)
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
    assert version(path) == LATEST


def migrated_rows(path: Path) -> int:
    with open_catalogue(path) as catalogue:
        return len(catalogue.rows())


@pytest.mark.parametrize("old", [2], indirect=True)
def test_several_processes_may_migrate_at_once(old: Path) -> None:
    """A person may use the store while the nightly join starts."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        paths = [old / "catalogue.sqlite"] * 8
        assert pool.map(migrated_rows, paths, chunksize=1) == [2] * 8


@pytest.fixture
def kept_home(home: Path) -> Path:
    with zipfile.ZipFile(SCHEMA_3_HOME) as archive:
        archive.extractall(home)
    for path in (home / "keys").iterdir():
        path.chmod(0o600)
    return home


def test_home_of_schema_3_works(kept_home: Path, ecgfl: Ecgfl, listed: Any) -> None:
    assert version(kept_home / "catalogue.sqlite") == 3
    before = columns(kept_home / "catalogue.sqlite"), content(kept_home / "catalogue.sqlite")
    rows = listed()
    assert version(kept_home / "catalogue.sqlite") == LATEST
    assert content(kept_home / "catalogue.sqlite", before[0]) == before[1]
    assert [row["record"] for row in rows] == ["473a1beb0c4e81d2", "627d1fb13e82be9c"]
    assert [row["counts"] for row in rows] == [{"N": 23, "V": 3}, {"N": 21, "V": 4}]
    assert {row["split"] for row in rows} == {"train"}
    assert ecgfl("validate").code == 0
    assert ecgfl("audit", "verify", "--json").json["lines"] == 6


def test_beats_of_a_schema_3_home_are_cut_again_alike(kept_home: Path, ecgfl: Ecgfl) -> None:
    kept = ecgfl("segment", "--json").json["records"]
    shutil.rmtree(kept_home / "beats")
    cut = ecgfl("segment", "--json").json["records"]
    assert [record["beats"] for record in kept] == [record["beats"] for record in cut]
    assert all(record["cut"] for record in cut)


def test_schema_3_home_takes_new_recordings(kept_home: Path, ecgfl: Ecgfl, export: Any) -> None:
    assert ecgfl("ingest", export(3), "--json").json["outcomes"] == {"added": 1}
    assert len(ecgfl("segment", "--json").json["records"]) == 3
    assert (kept_home / "records" / "473a1beb0c4e81d2").is_dir()
