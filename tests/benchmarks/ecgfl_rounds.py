"""A federation of real ecgfl processes over TLS with node keys, and what each of its rounds took at both ends."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from timed_rounds import RoundTime, TimedRun

from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.logs import Event
from ecgfl_cli.site.home import Home

START_SECONDS, END_SECONDS = 60.0, 400.0


def run_ecgfl(coordinator: Home, sites: dict[str, Home], rounds: int) -> TimedRun:
    """Serve one run, join it from every site, and take the rounds from the coordinator's report and what the sites said."""
    with tempfile.TemporaryDirectory() as logs:
        with ended([]) as processes:
            server, port = serve(Path(logs) / "coordinator", coordinator, rounds, len(sites))
            processes.append(server)
            began = time.monotonic()
            for name, home in sites.items():
                processes.append(start(Path(logs) / name, home, *join(port)))
            codes = [process.wait(END_SECONDS) for process in processes]
            seconds = time.monotonic() - began
        said = {name: (Path(logs) / name).read_text() for name in ("coordinator", *sites)}
    if any(codes):
        raise RuntimeError(f"exit codes {codes}: {said}")
    return TimedRun(seconds, list(_rounds(coordinator, [said[name] for name in sites])))


def _rounds(coordinator: Home, said: list[str]) -> Iterator[RoundTime]:
    """A round lasts until the next one begins: what lies between them counts. The last has none after it and is left out."""
    (path,) = CoordinatorHome(coordinator.coordinator).reports.glob("*.json")
    reported = json.loads(path.read_bytes())["rounds"]
    training, measuring = (
        [_seconds(event, log) for log in said] for event in (Event.TRAINED, Event.MEASURED)
    )
    for this, following in pairwise(reported):
        number = this["round"]
        wall = datetime.fromisoformat(following["began"]) - datetime.fromisoformat(this["began"])
        slowest = [max(site[number] for site in sites) for sites in (training, measuring)]
        yield RoundTime(wall.total_seconds(), *slowest)


def _seconds(event: Event, log: str) -> dict[int, float]:
    """Return round -> seconds of an event in a site's log."""
    return {entry["round"]: entry["seconds"] for entry in _entries(log, event)}


def _entries(log: str, event: Event) -> list[dict[str, Any]]:
    """Return the entries of an event in a log. Its last line may not be complete yet."""
    entries = [json.loads(line) for line in log.splitlines(keepends=True) if line.endswith("\n")]
    return [entry for entry in entries if entry["event"] == event]


def serve(
    log: Path, coordinator: Home, rounds: int, sites: int
) -> "tuple[subprocess.Popen[bytes], int]":
    """A coordinator that waits for so many sites, once it listens, and its port."""
    options = {
        "--host": "127.0.0.1",
        "--port": "0",
        "--rounds": str(rounds),
        "--min-sites": str(sites),
    }
    process = start(
        log,
        coordinator,
        "coordinator",
        "serve",
        *(word for pair in options.items() for word in pair),
    )
    return process, _port(log, process)


def join(port: int) -> list[str]:
    """The command by which a site takes part in one run."""
    return ["join", "--server", f"localhost:{port}", "--once", "--max-wait", "90s"]


def start(log: Path, home: Home, *arguments: str) -> "subprocess.Popen[bytes]":
    with log.open("wb") as stream:
        command = [sys.executable, "-m", "ecgfl_cli", "--home", str(home.root)]
        command += ["--log-format", "json", *arguments]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stream)


def _port(log: Path, process: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + START_SECONDS
    while not (entries := _entries(log.read_text(), Event.READY)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the coordinator does not serve: {log.read_text()}")
        time.sleep(0.05)
    return int(entries[0]["port"])


@contextmanager
def ended(processes: "list[subprocess.Popen[bytes]]") -> "Iterator[list[subprocess.Popen[bytes]]]":
    """Sees to it that none of the processes outlives the block, nor any that they started."""
    try:
        yield processes
    finally:
        trees = [
            each for process in processes if process.poll() is None for each in _tree(process.pid)
        ]
        for process in processes:
            process.terminate()
        _, alive = psutil.wait_procs(trees, timeout=10)
        for each in alive:
            each.kill()


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
