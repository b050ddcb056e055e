"""stdout holds the result, stderr what is for people, and --json is exactly one object."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ecgfl = Callable[..., Any]


def refuse(constant: str) -> None:
    """Python's json would take NaN and Infinity; nobody else's does."""
    raise ValueError(constant)


def test_every_verb_gives_one_json_object(
    modelled: Path, ecgfl: Ecgfl, export: Any, tmp_path: Path, federation: Any
) -> None:
    recording, long = export(1), export(2, seconds=330)
    commands = {
        "init": ("init", "--site", "st-mary"),
        "ingest": ("ingest", recording),
        "validate": ("validate", recording),
        "segment": ("segment",),
        "dataset-list": ("dataset", "list"),
        "predict": ("predict", recording, "--out", tmp_path / "out"),
        "evaluate": ("evaluate", long),
        "model-list": ("model", "list"),
        "model-use": ("model", "use", federation.version),
        "model-verify": ("model", "verify"),
        "audit-show": ("audit", "show"),
        "audit-verify": ("audit", "verify"),
        "coordinator-init": ("coordinator", "init", "--name", "localhost"),
        "coordinator-enrol": (
            "coordinator",
            "enrol",
            modelled / "keys" / "node.pub",
            "--site",
            "st-mary",
        ),
        "coordinator-sites": ("coordinator", "sites"),
        "coordinator-revoke": ("coordinator", "revoke", "st-mary"),
    }
    for verb, command in commands.items():
        ran = ecgfl(*command, "--json")
        assert ran.code == 0, ran
        assert len(ran.out.splitlines()) == 1
        found = json.loads(ran.out, parse_constant=refuse)
        assert (found["schema"], found["status"]) == (f"ecgfl.{verb}/1", "ok")
    (record,) = ecgfl("dataset", "list", "--json").json["recordings"]
    for verb in ("show", "remove"):
        assert (
            ecgfl("dataset", verb, record["record"], "--json").json["schema"]
            == f"ecgfl.dataset-{verb}/1"
        )


@pytest.mark.parametrize(
    ("verb", "command", "code"),
    [
        ("dataset-show", ("dataset", "show", "nothing"), 2),
        ("audit-verify", ("audit", "verify", "--home", "/nowhere/at/all"), 2),
        ("ingest", ("ingest", "/nowhere/at/all.hea"), 3),
        ("validate", ("validate", "/nowhere/at/all.hea"), 3),
        ("predict", ("predict", "/nowhere/at/all.hea"), 3),
        ("ingest", ("ingest",), 2),
        ("ingest", ("ingest", "x.hea", "--format", "dicom"), 2),
        ("segment", ("segment", "--arch", "transformer"), 2),
        ("dataset-list", ("dataset", "list", "--surprise"), 2),
    ],
)
def test_an_error_is_one_json_object_too(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    verb: str,
    command: tuple[str, ...],
    code: int,
) -> None:
    ran = ecgfl(*command, "--json")
    assert ran.code == code
    assert len(ran.problems) == 1
    assert (ran.json["schema"], ran.json["status"]) == (f"ecgfl.{verb}/1", "error")


def test_tables_are_on_stdout_and_messages_on_stderr(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
) -> None:
    export(1)
    (tmp_path / "exports" / "wfdb" / "broken.edf").write_bytes(b"0")
    (tmp_path / "exports" / "wfdb" / "notes.pdf").write_bytes(b"%PDF")
    ran = ecgfl("ingest", tmp_path / "exports")
    assert ran.code == 3
    assert "added" in ran.out
    assert "ecgfl: " not in ran.out
    assert len(ran.problems) == 1
    assert "notes.pdf" in ran.err
    assert "─" not in ran.err


def test_output_that_no_terminal_shows_has_no_colours(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
) -> None:
    ran = ecgfl("ingest", export(1))
    assert "\x1b" not in ran.out + ran.err


def test_a_table_for_a_script_is_not_cut(site: Path, ecgfl: Ecgfl, export: Any) -> None:  # noqa: ARG001
    path = export(1)
    assert str(path) in ecgfl("ingest", path).out


@pytest.mark.parametrize("place", ["before", "after"])
def test_global_options_stand_before_or_after_the_verb(
    site: Path, ecgfl: Ecgfl, tmp_path: Path, place: str
) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(site, other)
    site.joinpath("site.toml").unlink()
    options, verb = ("--home", other, "--json", "--quiet"), ("dataset", "list")
    ran = ecgfl(*options, *verb) if place == "before" else ecgfl(*verb, *options)
    assert ran.code == 0
    assert ran.json["recordings"] == []
    assert ecgfl("dataset", "list", f"--home={other}").code == 0
    assert ecgfl("dataset", "list").code == 2


def test_quiet_hides_progress_and_never_a_problem(site: Path, ecgfl: Ecgfl, tmp_path: Path) -> None:  # noqa: ARG001
    for verb in ("ingest", "validate"):
        ran = ecgfl(verb, tmp_path / "missing.edf", "--quiet")
        assert ran.code == 3
        assert len(ran.problems) == 1


def test_debug_shows_where_it_happened(home: Path, ecgfl: Ecgfl) -> None:  # noqa: ARG001
    from ecgfl_cli.errors import UsageError

    with pytest.raises(UsageError):
        ecgfl("segment", "--debug")


@pytest.mark.parametrize(
    "arguments", [("dataset", "list"), ("model", "list"), ("audit", "show", "--json"), ("--help",)]
)
def test_a_reader_that_goes_away_is_no_error(site: Path, arguments: tuple[str, ...]) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "ecgfl_cli", "--home", str(site), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait() == 0
