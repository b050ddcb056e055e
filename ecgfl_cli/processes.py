"""Work in other processes, which may crash, hang or be killed without taking the program along.

Format libraries in C read files that nobody has checked. What crashes there costs one file. Every process has a pipe of its own:
in the pools of the standard library and of pebble processes share locks, and one that is killed at the wrong moment leaves the
others waiting for ever.
"""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

from ecgfl_cli.printable import escape_log

Item = TypeVar("Item")
Result = TypeVar("Result")

LONGEST_SECONDS = 1800.0
"""For one item. The longest recording that is accepted lasts a month; a week takes less than a minute."""

LONGEST_START = 300.0
"""Seconds until a new process takes up its first item, on a busy computer that has to load every library from a slow disk."""

PRELOADED = ["ecgfl_cli.store.stage", "ecgfl_cli.store.segment", "wfdb"]
"""What the server imports once, from which the workers are forked."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Settings of the libraries that numpy computes with. (Cutting the beats of mitdb: 1.6 times as fast with one thread.)"""

KILLED = -9
"""Exit code of a process that was given no say in its end."""

MOST_JOBS = 30 if os.name == "nt" else 1000
"""Windows waits for no more than 63 things at once, two for each process."""

PRIVATE_UMASK = 0o077


@dataclass(frozen=True)
class Lost:
    """An item whose process ended without a result. reason : in words."""

    reason: str


def each_in_a_process(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    seconds: float = LONGEST_SECONDS,
) -> Iterator[Result | Lost]:
    """What `work` makes of each item, in their order, in at most `jobs` processes. Those end with this one, however it ends.

    work : a function of a module; items and results go from process to process. An exception of it is raised here.
    seconds : after which an item counts as lost.
    """
    crew = _Crew(work, items, jobs, seconds)
    try:
        for number in range(len(items)):
            while number not in crew.results:
                crew.give_out()
                crew.take_in()
            crew.give_out()
            yield crew.results.pop(number)
    finally:
        crew.dismiss()


def begin_loading() -> None:
    """Have the workers' libraries loaded, in a process beside, while this one still loads its own."""
    if _context().get_start_method() == "forkserver":
        from multiprocessing import forkserver  # Windows has none

        with _interrupts_held(), _one_thread_each():
            forkserver.ensure_running()


class _Worker:
    """A process, the pipe to it, and the number of the item that it was given.

    deadline : for its next message. begun : whether it has taken the item up. served : whether it has ended one before.
    """

    def __init__(self, context: Any, work: Callable[[Any], Any]) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, work), daemon=True)
        with _interrupts_held(), _one_thread_each():
            self.process.start()
        theirs.close()
        self.item: int | None = None
        self.deadline = 0.0
        self.begun = self.served = False

    def give(self, number: int, item: Any) -> None:
        self.item, self.begun, self.deadline = number, False, time.monotonic() + LONGEST_START
        with suppress(
            ConnectionError
        ):  # it ended just now: that shows when its answer is waited for
            self.pipe.send(item)

    def end(self) -> int | None:
        """Kill it, unless it has ended; its exit code."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode  # type: ignore[no-any-return]


class _Crew(Generic[Item, Result]):
    """The workers, the numbers of the items that wait for one, and the results that were not asked for yet."""

    def __init__(
        self, work: Callable[[Item], Result], items: Sequence[Item], jobs: int, seconds: float
    ) -> None:
        self.results: dict[int, Result | Lost] = {}
        self._work, self._items, self._seconds = work, items, seconds
        self._jobs = min(max(1, jobs), MOST_JOBS)
        self._waiting = deque(range(len(items)))
        self._workers: list[_Worker] = []
        self._context = _context()

    def give_out(self) -> None:
        """An item for everybody who has none."""
        idle = [worker for worker in self._workers if worker.item is None]
        while self._waiting and (idle or len(self._workers) < self._jobs):
            if not idle:
                idle.append(_Worker(self._context, self._work))
                self._workers.append(idle[0])
            number = self._waiting.popleft()
            idle.pop().give(number, self._items[number])

    def take_in(self) -> None:
        """Wait for something to happen, and see to it."""
        busy = [worker for worker in self._workers if worker.item is not None]
        patience = min(worker.deadline for worker in busy) - time.monotonic()
        wait(
            [thing for worker in busy for thing in (worker.pipe, worker.process.sentinel)],
            max(0.0, patience),
        )
        for worker in busy:
            self._see_to(worker)

    def _see_to(self, worker: _Worker) -> None:
        assert worker.item is not None
        while True:
            try:
                if not worker.pipe.poll():
                    break
                message, value = worker.pipe.recv()
            except (EOFError, OSError):  # it ended, perhaps in the middle of a message
                self._replace(worker)
                return
            if message == "begun":
                worker.begun, worker.deadline = True, time.monotonic() + self._seconds
            elif message == "raised":
                raise value
            else:
                self.results[worker.item] = value
                worker.item, worker.served = None, True
                return
        if time.monotonic() > worker.deadline:
            self._workers.remove(worker)
            worker.end()
            late = (
                f"it took more than {self._seconds:g} s"
                if worker.begun
                else f"no process began it in {LONGEST_START:g} s"
            )
            self.results[worker.item] = Lost(late)

    def _replace(self, worker: _Worker) -> None:
        """For one that has ended by itself. An item that it never took up is none the worse for that."""
        assert worker.item is not None
        self._workers.remove(worker)
        worker.process.join(1.0)  # the pipe closes a moment before the exit code is there
        exit_code = worker.end()
        if worker.served and not worker.begun:
            self._waiting.appendleft(worker.item)
        else:
            out_of_memory = (
                "; a system that runs out of memory kills so" if exit_code == KILLED else ""
            )
            self.results[worker.item] = Lost(
                f"the process that read it crashed (exit code {exit_code}{out_of_memory})"
            )

    def dismiss(self) -> None:
        for worker in self._workers:
            worker.end()


def _context() -> BaseContext:
    """Workers are not forked from this process: it has threads and holds the home's lock, which a child would keep."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Whoever is started meanwhile never sees an interrupt, which is for this process to handle, not even while it imports."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it takes the mask off when it is started on the way
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Whoever is started meanwhile computes in one thread: as many workers as processors are enough threads for them."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(pipe: "Connection[Any, Any]", work: Callable[[Any], Any]) -> None:
    """In a worker: item after item, until the parent has no more."""
    _prepare()
    with suppress(EOFError, ConnectionError):
        while True:
            item = pipe.recv()
            pipe.send(("begun", None))
            try:
                answer = ("result", work(item))
            except Exception as error:  # noqa: BLE001 - it is raised in the parent
                answer = ("raised", error)
            pipe.send(answer)


def _prepare() -> None:
    """In a worker: an interrupt is for the parent to handle, and the parent's death is the worker's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.umask(PRIVATE_UMASK)
    escape_log()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
