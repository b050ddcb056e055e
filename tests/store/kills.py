"""Run the program, kill it at a given moment, and read the store that it leaves.

The tests and `tests/benchmarks/kills.py` use this.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil
from ecgfl_adapters.discovery import read
from ecgfl_adapters.wfdb.adapter import WfdbAdapter
from log_lines import as_on_a_terminal

REAL = (100, 101, 103, 105, 106, 108, 109, 111, 112, 113, 114, 115)
"""Records of mitdb."""

LONGEST_END = 10.0
"""Seconds after which a process counts as left over. A worker sees its parent's end at once, but
must be scheduled."""


class Content(NamedTuple):
    """Content of a store without times: its files, and the rows of the catalogue.

    The log, the lock and the file of the catalogue are left out.
    """

    files: dict[str, bytes]
    rows: dict[str, list[tuple]]


def real_records(data: Path, folder: Path, seconds: float) -> Path:
    """A folder with the first seconds of real records."""
    folder.mkdir()
    for number in REAL:
        whole = read(data / "mitdb" / f"{number}.hea")
        length = min(whole.length, round(seconds * whole.fs))
        leads = tuple(replace(lead, samples=lead.samples[:length].copy()) for lead in whole.leads)
        labels = tuple(label for label in whole.labels or () if label.sample < length)
        WfdbAdapter().write(replace(whole, leads=leads, labels=labels), folder)
    return folder


def twin_of(home: Path, folder: Path) -> Path:
    """Another home with the same secret and nothing in it."""
    folder.mkdir()
    shutil.copytree(home / "keys", folder / "keys")
    shutil.copy(home / "site.toml", folder)
    return folder


def start(home: Path, *arguments: object) -> subprocess.Popen[str]:
    """Run the program in a session of its own."""
    command = [sys.executable, "-m", "ecgfl_cli", *map(str, arguments), "--home", str(home)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def strike(
    process: subprocess.Popen[str], seconds: float, number: signal.Signals, whole_group: bool
) -> bool:
    """Signal a run after so many seconds. Returns whether it still ran."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        (os.killpg if whole_group else os.kill)(process.pid, number)
        return True
    return False


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for the end of a process and of those that hold its streams; return what it wrote.

    The lines on stderr are as on a terminal.
    """
    out, err = process.communicate(timeout=120)
    return out, as_on_a_terminal(err)


def left_over(session: int) -> list[int]:
    """Processes of a session that have not ended in good time."""
    deadline = time.monotonic() + LONGEST_END
    while (found := _members(session)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def workers(session: int) -> list[int]:
    """Its processes that read files: what has a parent in the session that has one, too."""
    members = _members(session)
    parents = {
        number: psutil.Process(number).ppid() for number in members if psutil.pid_exists(number)
    }
    return [
        number
        for number, parent in parents.items()
        if parent in parents and parents[parent] in parents
    ]


def content_of(home: Path) -> Content:
    names = {"records", "beats"}
    files = {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and path.relative_to(home).parts[0] in names
    }
    return Content(files, rows_of(home))


def rows_of(home: Path) -> dict[str, list[tuple]]:
    """Every row of the catalogue by table, without the time at which a record was added."""
    with closing(sqlite3.connect(home / "catalogue.sqlite")) as connection:
        columns = [
            name
            for _, name, *_ in connection.execute("PRAGMA table_info(records)")
            if name != "added"
        ]
        tables = {"records": ", ".join(columns), "findings": "*", "patients": "*"}
        return {
            table: connection.execute(f"SELECT {what} FROM {table} ORDER BY 1, 2").fetchall()
            for table, what in tables.items()
        }


def moments(number: int, longest: float, seed: int) -> Sequence[float]:
    """So many random moments up to `longest`, one in each equal part of it."""
    from random import Random

    random = Random(seed)
    return [(place + random.random()) * longest / number for place in range(number)]


def _members(session: int) -> list[int]:
    found = []
    for number in psutil.pids():
        try:
            if (
                os.getsid(number) == session
                and psutil.Process(number).status() != psutil.STATUS_ZOMBIE
            ):
                found.append(number)
        except (OSError, psutil.Error):
            continue
    return found
