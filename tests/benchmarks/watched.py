"""Run a command, and measure its time and the memory of all its processes."""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import psutil

INTERVAL_SECONDS = 0.02


@dataclass(frozen=True)
class Run:
    """A command that has ended.

    Attributes
    ----------
    seconds
        Wall time.
    mib
        Largest memory of all its processes together. Shared pages count once (the sum of the
        proportional set sizes, or of the resident sizes if the system does not report these).
    largest_mib
        Largest resident memory of one process, including shared pages.
    out
        Its stdout.
    """

    seconds: float
    mib: float
    largest_mib: float
    out: str


def ecgfl(*arguments: str) -> Run:
    """Run `ecgfl ARGUMENTS` and measure it. Raise `CalledProcessError` if it fails."""
    return watch([sys.executable, "-m", "ecgfl_cli", *arguments])


def watch(command: list[str]) -> Run:
    """Run any command and measure it. Raise `CalledProcessError` if it fails."""
    together = largest = 0
    with tempfile.TemporaryFile(mode="w+") as output:  # a pipe that is not read could fill up
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            sizes = [_sizes(member) for member in _tree(watched)]
            together = max(together, sum(own for own, _ in sizes))
            largest = max(largest, *(resident for _, resident in sizes), 0)
            time.sleep(INTERVAL_SECONDS)
        seconds = time.perf_counter() - started
        output.seek(0)
        out = output.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, out)
    return Run(seconds, together / 2**20, largest / 2**20, out)


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _sizes(process: psutil.Process) -> tuple[int, int]:
    try:
        sizes = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return 0, 0
    return getattr(sizes, "pss", sizes.rss), sizes.rss
