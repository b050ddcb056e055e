"""Sample what a run has cost so far: processor time of its programs, and bytes on the network."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import psutil

INTERVAL_SECONDS = 0.05


@dataclass(frozen=True)
class Cost:
    """Cost of a part of a run.

    Attributes
    ----------
    coordinator
        Processor seconds of the coordinator's programs.
    sites
        Processor seconds of all sites' programs.
    bytes
        Bytes on the network, in both directions, TLS included.
    """

    coordinator: float
    sites: float
    bytes: float


class CostSamples:
    """Samples of the cost of running programs, taken in a thread until the block ends.

    Parameters
    ----------
    coordinator, sites
        Process ids of the programs. The programs that they start are included.
    passed
        Returns the number of bytes that have passed on the network.
    """

    def __init__(self, coordinator: int, sites: list[int], passed: Callable[[], int]) -> None:
        self._coordinator = coordinator
        self._sites = sites
        self._passed = passed
        self._spent: dict[int, dict[int, float]] = {pid: {} for pid in (coordinator, *sites)}
        self._samples: list[tuple[float, ...]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="cost", daemon=True)

    def __enter__(self) -> "CostSamples":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def between(self, begin: float, end: float) -> Cost:
        """Return the cost between two times, in seconds since 1970."""
        times, *columns = zip(*self._samples, strict=True)
        return Cost(
            *(
                float(np.interp(end, times, column) - np.interp(begin, times, column))
                for column in columns
            )
        )

    def _sample(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            for pid, spent in self._spent.items():
                _add_processor_seconds(pid, spent)
            coordinator = sum(self._spent[self._coordinator].values())
            sites = sum(sum(self._spent[pid].values()) for pid in self._sites)
            self._samples.append((time.time(), coordinator, sites, self._passed()))


def _add_processor_seconds(pid: int, spent: dict[int, float]) -> None:
    """Store the processor seconds of a program and of all that it started, by process id.

    A process that has ended keeps its last value.
    """
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            times = member.cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        spent[member.pid] = times.user + times.system
