"""A home that is none, or is damaged, and command lines that mean nothing."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ecgfl = Callable[..., Any]


@pytest.mark.parametrize(
    "command",
    [
        ("ingest", "x.hea"),
        ("segment",),
        ("validate",),
        ("dataset", "list"),
        ("dataset", "show", "x"),
        ("dataset", "remove", "x"),
        ("model", "use", "x"),
        ("audit", "show"),
        ("audit", "verify"),
        ("join", "--server", "localhost:1", "--once"),
        ("coordinator", "sites"),
        ("coordinator", "serve"),
    ],
)
def test_a_home_that_is_none_is_a_usage_error(
    home: Path, ecgfl: Ecgfl, command: tuple[str, ...]
) -> None:
    ran = ecgfl(*command)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert str(home) in ran.problems[0]
    assert "init" in ran.problems[0]
    assert not home.exists()


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_a_lost_starter_model_is_named(
    site: Path,
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    files_of: Any,
    verb: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ecgfl_cli.models.starter.FOLDER", tmp_path / "lost")
    before = files_of(site)
    ran = ecgfl(
        verb, export(1, seconds=20), *(("--out", tmp_path / "out") if verb == "predict" else ())
    )
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert "ecgfl join" in ran.problems[0]
    assert not (tmp_path / "out").exists()
    assert files_of(site) == before


@pytest.mark.parametrize(
    "command",
    [
        ("surprise",),
        ("ingest",),
        ("ingest", "x.hea", "--surprise"),
        ("ingest", "x.hea", "--format", "dicom"),
        ("ingest", "x.hea", "--jobs", "0"),
        ("ingest", "x.hea", "--jobs", "many"),
        ("predict", "x.hea", "--format", "wfdb,pdf"),
        ("predict", "x.hea", "--format", ""),
        ("segment", "--arch", "transformer"),
        ("segment", "--arch", "../../x"),
        ("coordinator", "serve", "--arch", "transformer"),
        ("coordinator", "serve", "--min-sites", "1"),
        ("join",),
        ("dataset", "list", "--home"),
        ("join", "--server", "localhost:1", "--once", "--max-wait", "soon"),
    ],
)
def test_a_command_line_that_means_nothing_is_a_usage_error(
    modelled: Path, ecgfl: Ecgfl, command: tuple[str, ...], files_of: Any
) -> None:
    before = files_of(modelled)
    ran = ecgfl(*command)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert ran.out == ""
    assert files_of(modelled) == before


@pytest.mark.parametrize(
    "content", [b"no database at all" * 99, b"SQLite format 3\0" + b"\xff" * 4080]
)
@pytest.mark.parametrize(
    "command", [("ingest", "RECORDING"), ("segment",), ("dataset", "list"), ("validate",)]
)
def test_a_corrupt_catalogue_is_named_and_left_alone(
    site: Path, ecgfl: Ecgfl, export: Any, content: bytes, command: tuple[str, ...], files_of: Any
) -> None:
    recording = export(1)
    assert ecgfl("ingest", recording).code == 0
    (site / "catalogue.sqlite").write_bytes(content)
    before = files_of(site)
    ran = ecgfl(*(str(recording) if part == "RECORDING" else part for part in command))
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert str(site / "catalogue.sqlite") in ran.problems[0]
    assert files_of(site) == before


def test_a_catalogue_of_another_version_is_refused(site: Path, ecgfl: Ecgfl) -> None:
    import sqlite3

    with sqlite3.connect(site / "catalogue.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    ran = ecgfl("dataset", "list")
    assert ran.code == 3
    assert "99" in ran.problems[0]


@pytest.mark.parametrize("lost", [None, b""])
def test_a_lost_catalogue_does_not_take_the_records_with_it(
    site: Path, ecgfl: Ecgfl, export: Any, files_of: Any, lost: bytes | None
) -> None:
    """Signals without a catalogue entry come from a killed ingest, or from a lost catalogue."""
    for seed in (1, 2, 3):
        assert ecgfl("ingest", export(seed)).code == 0
    records = files_of(site / "records")
    (site / "catalogue.sqlite").unlink()
    if lost is not None:
        (site / "catalogue.sqlite").write_bytes(lost)
    ecgfl("ingest", export(4))
    assert files_of(site / "records").items() >= records.items()


def test_lost_keys_are_named(site: Path, ecgfl: Ecgfl, export: Any) -> None:
    (site / "keys" / "secret").unlink()
    ran = ecgfl("ingest", export(1))
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert str(site / "keys" / "secret") in ran.problems[0]


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_an_output_folder_that_cannot_be_made_is_named(
    modelled: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    where: str,
) -> None:
    (tmp_path / "file").write_text("in the way")
    ran = ecgfl("predict", export(1), "--out", tmp_path / where)
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert str(tmp_path / "file") in ran.problems[0]
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere"
)
def test_a_home_that_cannot_be_written_is_named(site: Path, ecgfl: Ecgfl, export: Any) -> None:
    recording = export(1)
    site.chmod(0o500)
    try:
        ran = ecgfl("ingest", recording)
    finally:
        site.chmod(0o700)
    assert ran.code == 3
    assert len(ran.problems) == 1
    assert str(site) in ran.problems[0]


def test_a_home_path_that_is_a_file_is_refused(ecgfl: Ecgfl, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ran = ecgfl("init", "--site", "st-mary", "--home", tmp_path / "file")
    assert ran.code in (2, 3)
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert str(tmp_path / "file") in ran.problems[0]
