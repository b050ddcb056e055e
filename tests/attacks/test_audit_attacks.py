"""Damage to the audit log, by a person or a power cut, is detected before anything is changed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.store.catalogue import open_catalogue

Ecgfl = Callable[..., Any]
Attack = Callable[[Path], None]


def program(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program in a separate process."""
    command = [sys.executable, "-m", "ecgfl_cli", "--home", str(home), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def filled(site: Path, ecgfl: Ecgfl, export: Any) -> Path:
    """Return a home with one recording and its beats."""
    assert ecgfl("ingest", export(1)).code == 0
    assert ecgfl("segment").code == 0
    return site


def delete(home: Path) -> None:
    (home / "audit.jsonl").unlink()


def delete_both(home: Path) -> None:
    for name in ("audit.jsonl", "audit.head"):
        (home / name).unlink()


def empty(home: Path) -> None:
    (home / "audit.jsonl").write_bytes(b"")


def empty_both(home: Path) -> None:
    empty(home)
    (home / "audit.head").unlink()


def cut_a_line(home: Path) -> None:
    log = home / "audit.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))


def cut_a_byte(home: Path) -> None:
    log = home / "audit.jsonl"
    log.write_bytes(log.read_bytes()[:-1])


def damage_the_last_line(home: Path) -> None:
    log = home / "audit.jsonl"
    log.write_bytes(log.read_bytes()[:-20] + b"\0" * 19 + b"\n")


def edit(home: Path) -> None:
    log = home / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"added":1', b'"added":0'))


def edit_and_chain(home: Path) -> None:
    """Remove a line and write all others again, so that their hash chain is valid."""
    log = home / "audit.jsonl"
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    elsewhere = home.parent / "elsewhere" / "audit.jsonl"
    elsewhere.parent.mkdir()
    for entry in lines[1:]:
        fields = {
            name: value
            for name, value in entry.items()
            if name not in ("time", "line", "event", "previous", "hash")
        }
        AuditLog(elsewhere).append(entry["event"], **fields)
    shutil.copy(elsewhere, log)


def append_garbage(home: Path) -> None:
    with (home / "audit.jsonl").open("ab") as log:
        log.write(b"garbage\n")


def append_backdated(home: Path) -> None:
    """Append a line made with this program and a clock that was set back."""
    log, head = home / "audit.jsonl", (home / "audit.head").read_bytes()
    from ecgfl_cli.site.audit_check import CheckedLog
    from ecgfl_cli.site.audit_lines import new_line

    line, _ = new_line(
        CheckedLog(log, "").state().state,
        "send",
        datetime.now(UTC) - timedelta(days=30),
        {"kind": "train"},
    )
    with log.open("ab") as file:
        file.write(line)
    (home / "audit.head").write_bytes(head)


def no_head(home: Path) -> None:
    (home / "audit.head").unlink()


ATTACKS = [
    delete,
    delete_both,
    empty,
    empty_both,
    cut_a_line,
    cut_a_byte,
    damage_the_last_line,
    edit,
    edit_and_chain,
    append_garbage,
    append_backdated,
    no_head,
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_damaged_log_blocks_all_changes(
    filled: Path, ecgfl: Ecgfl, export: Any, files_of: Any, attack: Attack
) -> None:
    attack(filled)
    before = files_of(filled)
    record = ecgfl("dataset", "list", "--json").json["recordings"][0]["record"]
    for command in (
        ("audit", "verify"),
        ("ingest", export(2)),
        ("segment",),
        ("dataset", "remove", record),
        ("init", "--site", "st-mary"),
    ):
        ran = ecgfl(*command)
        assert ran.code == 3, command
        assert "audit restart" in ran.err
        assert len(ran.problems) == 1
    assert files_of(filled) == before
    assert ecgfl("audit", "restart", "--reason", "an attack").code == 0
    assert ecgfl("audit", "verify").code == 0
    assert ecgfl("ingest", export(2)).code == 0


def test_damaged_log_blocks_a_separate_process(filled: Path, export: Any) -> None:
    damage_the_last_line(filled)
    ran = program(filled, "ingest", export(2))
    assert (ran.returncode, "audit restart" in ran.stderr) == (3, True)
    with open_catalogue(filled / "catalogue.sqlite") as catalogue:
        assert len(catalogue.rows()) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("stored", [0, 1, 3])
def test_every_recording_has_a_line_after_a_kill(
    site: Path, ecgfl: Ecgfl, export: Any, stored: int
) -> None:
    for seed in range(1, 7):
        path = export(seed, "wfdb", seconds=20)
    command = [sys.executable, "-m", "ecgfl_cli", "--home", str(site), "ingest", str(path.parent)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and _folders(site) < stored and time.monotonic() < deadline:
        time.sleep(0.002)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert ecgfl("audit", "verify").code == 0
    text = (site / "audit.jsonl").read_text() if (site / "audit.jsonl").exists() else ""
    with open_catalogue(site / "catalogue.sqlite") as catalogue:
        for row in catalogue.rows():
            assert row.record in text
    assert ecgfl("ingest", path.parent).code == 0
    assert ecgfl("audit", "verify").code == 0


def _folders(site: Path) -> int:
    records = site / "records"
    return (
        sum(not folder.name.startswith(".") for folder in records.iterdir())
        if records.is_dir()
        else 0
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_log_continues_after_a_kill_during_writes(site: Path, ecgfl: Ecgfl) -> None:
    code = f"""
from pathlib import Path
from ecgfl_cli.site.audit import AuditLog
while True:
    AuditLog(Path({str(site / "audit.jsonl")!r})).append("test", text="x" * 3000)
"""
    for number in range(8):
        process = subprocess.Popen([sys.executable, "-c", code])
        time.sleep(1.0 + 0.013 * number)
        process.kill()
        process.wait()
        assert ecgfl("audit", "verify").code == 0
    AuditLog(site / "audit.jsonl").append("last")
    assert ecgfl("audit", "verify").code == 0


@pytest.mark.parametrize("attack", [delete, delete_both, cut_a_line, damage_the_last_line, no_head])
def test_damaged_coordinator_log_blocks_changes(
    home: Path,
    ecgfl: Ecgfl,
    site: Path,  # noqa: ARG001
    tmp_path: Path,
    attack: Attack,
) -> None:
    assert ecgfl("coordinator", "init", "--name", "localhost").code == 0
    key = tmp_path / "node.pub"
    shutil.copy(home / "keys" / "node.pub", key)
    assert ecgfl("coordinator", "enrol", key, "--site", "alice").code == 0
    attack(home / "coordinator")
    for command in (
        ("coordinator", "audit", "verify"),
        ("coordinator", "revoke", "alice"),
        ("coordinator", "renew"),
        ("coordinator", "serve", "--port", "0", "--host", "127.0.0.1"),
    ):
        ran = ecgfl(*command)
        assert ran.code == 3, command
        assert "coordinator audit restart" in ran.err
    assert (home / "coordinator" / "sites" / "alice.pub").is_file()
    assert ecgfl("coordinator", "audit", "restart", "--reason", "an attack").code == 0
    assert ecgfl("coordinator", "revoke", "alice").code == 0
    assert ecgfl("coordinator", "audit", "verify").code == 0
