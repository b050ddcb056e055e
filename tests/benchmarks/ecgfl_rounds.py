"""Run a federation of real ecgfl processes over TLS with node keys, and measure its rounds."""

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
from cost_samples import CostSamples
from counting_relay import CountingRelay
from timed_rounds import RoundCost, TimedRun

from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.logs import Event
from ecgfl_cli.site.home import Home

START_SECONDS = 300.0
"""Time limit for the coordinator to listen."""

END_SECONDS = 1000.0
"""Time limit for the run, on a busy machine."""


def run_ecgfl(coordinator: Home, sites: dict[str, Home], rounds: int) -> TimedRun:
    """Serve one run, join it from every site, and return the cost of its rounds."""
    with tempfile.TemporaryDirectory() as logs:
        with ended([]) as processes:
            server, port = serve(Path(logs) / "coordinator", coordinator, rounds, len(sites))
            processes.append(server)
            began = time.monotonic()
            with CountingRelay(port) as relay:
                for name, home in sites.items():
                    processes.append(start(Path(logs) / name, home, *join(relay.port)))
                joins = [process.pid for process in processes[1:]]
                with CostSamples(server.pid, joins, lambda: relay.bytes) as samples:
                    codes = [process.wait(END_SECONDS) for process in processes]
            seconds = time.monotonic() - began
        lines = {name: (Path(logs) / name).read_text() for name in ("coordinator", *sites)}
    if any(codes):
        raise RuntimeError(f"exit codes {codes}: {lines}")
    site_lines = [lines[name] for name in sites]
    return TimedRun(seconds, list(_rounds(coordinator, site_lines, samples)))


def _rounds(coordinator: Home, site_lines: list[str], samples: CostSamples) -> Iterator[RoundCost]:
    """Yield the cost of all rounds but the last. A round ends when the next one begins."""
    (path,) = CoordinatorHome(coordinator.coordinator).reports.glob("*.json")
    reported = json.loads(path.read_bytes())["rounds"]
    training = [_seconds(Event.TRAINED, lines) for lines in site_lines]
    evaluation = [_seconds(Event.MEASURED, lines) for lines in site_lines]
    for this, following in pairwise(reported):
        number = this["round"]
        begin, end = (
            datetime.fromisoformat(result["began"]).timestamp() for result in (this, following)
        )
        yield RoundCost(
            wall=end - begin,
            training=max(site[number] for site in training),
            evaluation=max(site[number] for site in evaluation),
            cost=samples.between(begin, end),
        )


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
    """Start a coordinator that waits for `sites`; return it and its port when it listens."""
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
    """Return the command with which a site takes part in one run."""
    return ["join", "--server", f"localhost:{port}", "--once", "--max-wait", "300s"]


def start(log: Path, home: Home, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start an ecgfl command that writes its lines to a file."""
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
    """End the processes, and all that they started, at the end of the block."""
    try:
        yield processes
    finally:
        running = [
            member
            for process in processes
            if process.poll() is None
            for member in _tree(process.pid)
        ]
        for process in processes:
            process.terminate()
        _, alive = psutil.wait_procs(running, timeout=10)
        for member in alive:
            member.kill()


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
