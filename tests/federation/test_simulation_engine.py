"""Flower's engine gives the result of one process, listens on loopback only, and ends."""

import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from log_lines import entry_of, matches, shown
from node_processes import Socket, sockets_of
from simulations import QUICK, SITES, needs_ray

from ecgfl_cli.logs import Event

pytestmark = needs_ray
SIMULATE = (
    sys.executable,
    "-m",
    "ecgfl_cli",
    "--json",
    "--log-format",
    "json",
    "simulate",
    "--sites",
    str(SITES),
    "--jobs",
    "2",
)
LONGEST_END = 20.0


class Simulation:
    """`ecgfl simulate` as a process of its own, on a home, with a folder for temporary files."""

    def __init__(self, home: Path, temporary: Path, *options: str) -> None:
        environment = {**os.environ, "ECGFL_HOME": str(home), "TMPDIR": str(temporary)}
        self.temporary = temporary
        self.process = subprocess.Popen(
            [*SIMULATE, *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self.beneath: list[psutil.Process] = []

    def wait_for(self, event: Event, **fields: object) -> None:
        """Wait for an event with these fields; then the child processes are known."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if matches(self._read(line), event, fields):
                break
        self.beneath = psutil.Process(self.process.pid).children(recursive=True)

    def finish(self) -> tuple[int, str]:
        out, err = self.process.communicate(timeout=120)
        for line in err.splitlines():
            self._read(line)
        return self.process.returncode, out

    def _read(self, line: str) -> dict[str, Any]:
        """Keep a line as a terminal shows it, and return its entry. Every line must be JSON."""
        entry = entry_of(line)
        assert entry is not None, line
        self.said.append(shown(entry))
        return entry

    def left(self) -> list[str]:
        """Return the processes that still run a moment after the end.

        A process that has ended, but that its new parent has not collected, does not run.
        """
        _, alive = psutil.wait_procs(self.beneath, timeout=LONGEST_END)
        return [process.name() for process in alive if not _has_ended(process)]


def _has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def simulation(segmented: Path, tmp_path: Path) -> Iterator[Callable[..., Simulation]]:
    made: list[Simulation] = []

    def simulation(*options: str) -> Simulation:
        temporary = tmp_path / ("temporary files " * 6).strip()  # too long for a socket's path
        temporary.mkdir()
        made.append(Simulation(segmented / "home", temporary, *options))
        return made[-1]

    yield simulation
    for each in made:
        with each.process:
            each.process.kill()


def test_engine_gives_the_same_models_and_uses_loopback_only(
    simulation: Callable[..., Simulation],
    segmented: Path,
    in_process: None,  # noqa: ARG001
    ecgfl: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = (*QUICK[:-1], "2", "--strategy", "fedavg", "--strategy", "median")
    command = simulation(*options)
    command.wait_for(Event.ROUND_FINISHED, trial="fedavg", round=1)
    sockets: set[Socket] = sockets_of(command.process.pid)
    code, out = command.finish()
    assert code == 0, command.said
    assert not [
        line for line in command.said if not line.startswith(("starting", "fedavg: ", "median: "))
    ]

    assert sockets, "looked at while it ran"
    for each in sockets:
        for end in (each.local, each.remote):
            assert (
                end is None or ipaddress.ip_address(end[0].removeprefix("::ffff:")).is_loopback
            ), each
    assert command.left() == []
    assert not list(command.temporary.glob("ecgfl-*"))

    monkeypatch.setenv("ECGFL_HOME", str(segmented / "home"))
    expected = ecgfl("--json", "simulate", "--sites", SITES, *options).json["runs"]
    found = json.loads(out)["runs"]
    assert _models(found) == _models(expected)
    assert len(_models(found)) == 4


def test_an_interrupt_ends_it_soon_with_all_its_processes(
    simulation: Callable[..., Simulation],
) -> None:
    command = simulation(*QUICK[:-1], "50")
    command.wait_for(Event.ROUND_FINISHED, trial="fedavg", round=1)
    began = time.monotonic()
    command.process.send_signal(signal.SIGTERM)  # which Ray would take for itself
    code, _ = command.finish()
    assert time.monotonic() - began < LONGEST_END
    assert code == 130, command.said
    assert command.said[-1] == "ecgfl: interrupted"
    assert not [line for line in command.said if "failed" in line or "Traceback" in line]
    assert command.left() == []
    assert not list(command.temporary.glob("ecgfl-*"))


def _models(runs: list[dict[str, Any]]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (each["strategy"], result["version"], result["metrics"])
        for each in runs
        for result in each["rounds"]
    ]
