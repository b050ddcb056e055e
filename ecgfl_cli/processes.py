"""Run work in other processes, which may crash, hang or be killed without ending the program.

Format libraries written in C read files that nobody has checked. A crash costs one file. Every
process has its own pipe: in the pools of the standard library and of pebble, processes share locks,
and a process killed while it holds one leaves the others waiting for ever.
"""

import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_all_start_methods, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

from ecgfl_cli.logs import LogSettings, capture_warnings, configure, current_settings

Item = TypeVar("Item")
Result = TypeVar("Result")

Track = Callable[[Iterator[Item], int], Iterable[Item]]
"""Shows the progress of a job, for instance with a bar: takes the results and their number, and
passes the results on one by one."""

LONGEST_SECONDS = 1800.0
"""Time limit for one item. The longest accepted recording lasts a month; a week takes less than a
minute."""

LONGEST_START = 300.0
"""Time limit in seconds for a new process to begin its first item, on a busy computer that loads
every library from a slow disk."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables that set the number of threads of numpy's libraries. Cutting the beats of
mitdb is 1.6 times as fast with one thread."""

KILLED = -9
"""Exit code of a process killed by SIGKILL."""

MOST_JOBS = 30 if os.name == "nt" else 1000
"""Largest number of processes. Windows waits for at most 63 handles at once, two for each
process."""

PRIVATE_UMASK = 0o077

LONGEST_SOCKET_PATH = 103
"""Largest number of characters of the path of a Unix socket: 107 on Linux, 103 on macOS."""

FORKSERVER_SOCKET = "/pymp-12345678/listener-12345678"
"""The path of the fork server's socket in the folder for temporary files."""


@dataclass(frozen=True)
class Lost:
    """An item whose process ended without a result.

    Attributes
    ----------
    reason : str
        Why, for a person.
    """

    reason: str


def untracked(items: Iterator[Item], total: int) -> Iterable[Item]:  # noqa: ARG001
    """Pass the results on without showing the progress."""
    return items


def each_in_a_process(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    seconds: float = LONGEST_SECONDS,
) -> Iterator[Result | Lost]:
    """Yield the result of `work` for each item, in the order of the items.

    The processes end with this one, however it ends.

    Parameters
    ----------
    work : callable
        A function of a module, or a partial of one. Items and results must be picklable. An
        exception that it raises is raised here.
    items : sequence
        The arguments of `work`, one for each call.
    jobs : int
        Largest number of processes.
    seconds : float
        Time limit for an item, after which it counts as lost.
    """
    pool = _Pool(work, items, jobs, seconds)
    try:
        for index in range(len(items)):
            while index not in pool.results:
                pool.assign()
                pool.receive()
            pool.assign()
            yield pool.results.pop(index)
    finally:
        pool.terminate()


def give_way(niceness: int) -> bool:
    """Raise the niceness of this process, unless it is higher already.

    Returns
    -------
    bool
        False if a niceness was asked for and the system has none.
    """
    if not hasattr(os, "nice"):
        return niceness == 0
    os.nice(max(0, niceness - os.nice(0)))
    return True


_PRELOADED: list[str] = []
"""Modules that the fork server imports once for all workers, as set by `begin_loading`."""


def begin_loading(modules: Sequence[str]) -> None:
    """Import the workers' modules in the fork server while this process imports its own.

    Parameters
    ----------
    modules : sequence of str
        Names of modules. One that cannot be imported is skipped.
    """
    _PRELOADED[:] = modules
    if _context(modules).get_start_method() == "forkserver":
        from multiprocessing import forkserver  # Windows has none

        with _interrupts_held(), _one_thread_each():
            forkserver.ensure_running()


class _Worker:
    """A process, the pipe to it, and the index of its item.

    Attributes
    ----------
    item : int or None
        Index of the item that it has; None if it is idle.
    deadline : float
        Time of `time.monotonic` until which its next message must arrive.
    begun : bool
        Whether it has begun the item.
    served : bool
        Whether it has finished an earlier item.
    """

    def __init__(self, context: Any, work: Callable[[Any], Any]) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_work, args=(theirs, work, current_settings()), daemon=True
        )
        with _interrupts_held(), _one_thread_each():
            self.process.start()
        theirs.close()
        self.item: int | None = None
        self.deadline = 0.0
        self.begun = self.served = False

    def give(self, index: int, item: Any) -> None:
        self.item, self.begun, self.deadline = index, False, time.monotonic() + LONGEST_START
        with suppress(ConnectionError):  # it has just ended, which `_Pool.receive` notices
            self.pipe.send(item)

    def end(self) -> int | None:
        """Kill the process unless it has ended, and return its exit code."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode  # type: ignore[no-any-return]


class _Pool(Generic[Item, Result]):
    """The workers, the indices of waiting items, and results that are not yet taken."""

    def __init__(
        self, work: Callable[[Item], Result], items: Sequence[Item], jobs: int, seconds: float
    ) -> None:
        self.results: dict[int, Result | Lost] = {}
        self._work, self._items, self._seconds = work, items, seconds
        self._jobs = min(max(1, jobs), MOST_JOBS)
        self._waiting = deque(range(len(items)))
        self._workers: list[_Worker] = []
        self._context = _context(_PRELOADED or [_function(work).__module__])

    def assign(self) -> None:
        """Give an item to every idle worker, and start more workers if there are items left."""
        idle = [worker for worker in self._workers if worker.item is None]
        while self._waiting and (idle or len(self._workers) < self._jobs):
            if not idle:
                idle.append(_Worker(self._context, self._work))
                self._workers.append(idle[0])
            index = self._waiting.popleft()
            idle.pop().give(index, self._items[index])

    def receive(self) -> None:
        """Wait until a worker sends a message, ends or exceeds its time limit, and handle that."""
        busy = [worker for worker in self._workers if worker.item is not None]
        patience = min(worker.deadline for worker in busy) - time.monotonic()
        wait(
            [handle for worker in busy for handle in (worker.pipe, worker.process.sentinel)],
            max(0.0, patience),
        )
        for worker in busy:
            self._handle(worker)

    def _handle(self, worker: _Worker) -> None:
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
        """Remove a worker that ended by itself. An item that it had not begun is not lost."""
        assert worker.item is not None
        self._workers.remove(worker)
        worker.process.join(1.0)  # the pipe closes a moment before the exit code is there
        exit_code = worker.end()
        if worker.served and not worker.begun:
            self._waiting.appendleft(worker.item)
        else:
            out_of_memory = (
                "; a system that runs out of memory ends processes this way"
                if exit_code == KILLED
                else ""
            )
            self.results[worker.item] = Lost(
                f"the process that read it crashed (exit code {exit_code}{out_of_memory})"
            )

    def terminate(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.end()


def _function(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function inside a partial: the partial itself has no module."""
    return _function(work.func) if isinstance(work, partial) else work


def _context(modules: Sequence[str]) -> BaseContext:
    """Return the way in which workers are started.

    They are not forked from this process: it has threads and holds the home's lock, which a child
    process would keep. Where there is no fork server, or no short path for its socket, each starts
    on its own, which takes longer.
    """
    socket = tempfile.gettempdir() + FORKSERVER_SOCKET
    if (
        "forkserver" not in get_all_start_methods()
        or len(os.fsencode(socket)) > LONGEST_SOCKET_PATH
    ):
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([*modules])
    return context


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block SIGINT for processes started in the block; this process alone handles it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # starting it later would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let each process started in the block compute with one thread: there are several."""
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


def _work(pipe: "Connection[Any, Any]", work: Callable[[Any], Any], log: LogSettings) -> None:
    """Process item after item in a worker, until the parent closes the pipe."""
    _prepare()
    configure(log)
    capture_warnings()
    with suppress(EOFError, ConnectionError):
        while True:
            item = pipe.recv()
            pipe.send(("begun", None))
            try:
                answer = ("result", work(item))
            except Exception as error:  # noqa: BLE001 - raised again in the parent
                answer = ("raised", error)
            pipe.send(answer)


def _prepare() -> None:
    """Let a worker ignore interrupts, which the parent handles, and end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.umask(PRIVATE_UMASK)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
