"""Work in other processes, which may crash, hang or be killed without taking the program along.

Format libraries in C read files that nobody has checked. What crashes there costs one file.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

LONGEST_SECONDS = 1800.0
"""For one item. The longest recording that is accepted lasts a month; a week takes less than a minute."""

PRELOADED = ["ecgfl_cli.store.stage", "wfdb"]
"""What the server imports once, from which the workers are forked."""

PRIVATE_UMASK = 0o077


@dataclass(frozen=True)
class Lost:
    """An item whose process ended without a result. reason : in words."""

    reason: str


def each_in_a_process(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int, seconds: float = LONGEST_SECONDS
) -> Iterator[Result | Lost]:
    """What `work` makes of each item, in their order, in at most `jobs` processes. Those end with this one, however it ends.

    work : a function that can be pickled, as can the items and results. An exception of it is raised here.
    seconds : after which an item counts as lost.
    """
    if not items:
        return
    from pebble import ProcessExpired, ProcessPool

    pool = ProcessPool(max(1, min(jobs, len(items))), initializer=_prepare, context=_context())
    try:
        results = pool.map(work, items, timeout=seconds).result()
        for _ in items:
            try:
                yield next(results)
            except ProcessExpired as error:
                yield Lost(f"the process that read it crashed (exit code {error.exitcode})")
            except TookTooLong:
                yield Lost(f"it took more than {seconds:g} s to read")
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


def _context() -> BaseContext:
    """Workers are not forked from this process: it has threads and holds the home's lock, which a child would keep."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _prepare() -> None:
    """In a worker: an interrupt is for the parent to handle, and the parent's death is the worker's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.umask(PRIVATE_UMASK)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
