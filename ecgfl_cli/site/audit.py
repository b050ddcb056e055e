"""audit.jsonl: what this site did and sent, as a chain of lines that cannot be changed unnoticed.

`audit_lines` has the format of a line, and `audit_check` reads and checks the log.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ecgfl_cli.errors import EcgflError, UnusableInput, UsageError
from ecgfl_cli.files import atomic_write_bytes, sync_folder
from ecgfl_cli.site.audit_check import MOST_LINES, SHA256, TRACES, CheckedLog, Head, head_of
from ecgfl_cli.site.audit_lines import (
    CLOCK_BEHIND,
    CLOCK_TOLERANCE,
    FIRST,
    LONGEST_LINE,
    LogState,
    log_time,
    new_line,
)

__all__ = [
    "CLOCK_BEHIND",
    "FIRST",
    "INTENT",
    "LONGEST_LINE",
    "MOST_LINES",
    "RESTARTED",
    "SHA256",
    "TORN",
    "UNFINISHED",
    "AuditEntries",
    "AuditLog",
    "Head",
    "checked_reason",
    "newest_number",
    "without_finished_intents",
]

TORN = "torn-line"
"""Event: an incomplete last line, left by a kill, was removed."""

INTENT = "intent"
"""Event before a change."""

UNFINISHED = "unfinished"
"""Event after a change that ended with an error."""

RESTARTED = "audit-restarted"
"""First event of a log that replaces a lost or damaged one."""

READ_AT_ONCE = 2**16
"""Bytes that are read at once from the end of a log."""

LONGEST_REASON = 500
"""Largest number of characters of the reason for `audit restart`."""


def checked_reason(reason: str) -> str:
    """Return the reason for a restart in one line. Raise `UsageError` if it is empty."""
    reason = " ".join(reason.split())[:LONGEST_REASON]
    if not reason:
        raise UsageError(
            "the reason is empty",
            "Say what happened, for instance 'the disk failed on 1 March'",
        )
    return reason


class AuditLog:
    """The log at `path`. To append, hold the lock of the home (at a coordinator, that of the log).

    Parameters
    ----------
    path : Path
        The log; it need not exist.
    restart : str
        The command that restarts this log, for messages.
    traces : tuple of str
        Shell patterns of files beside the log that exist only if the log has a line.
    fix : str or None
        What to do about a damaged log, for messages; None for the usual advice, which names
        `restart`.
    """

    def __init__(
        self,
        path: Path,
        restart: str = "ecgfl audit restart",
        traces: tuple[str, ...] = TRACES,
        fix: str | None = None,
    ) -> None:
        usual = (
            f"Restore {path.name} and {path.with_suffix('.head').name} from the same backup. "
            f"Without one, `{restart} --reason TEXT` renames the old file and begins a new log"
        )
        self._files = CheckedLog(path, fix or usual, traces)

    @property
    def path(self) -> Path:
        """The file."""
        return self._files.path

    def append(self, event: str, **details: Any) -> None:
        """Check the log, write one line, and wait until it is on the disk.

        Raises
        ------
        UnusableInput
            The log is damaged, and nothing was written.
        OSError
            The line cannot be written.
        """
        try:
            self._append(event, details)
        except OSError as error:
            error.filename = error.filename or str(self.path)  # a full disk names no file
            raise

    def _append(self, event: str, details: dict[str, Any]) -> None:
        known = self._files.state()
        state = known.state
        if not self._files.head_path.exists():
            self._files.write_head(state, known.digest)  # a numbered line always has a head
        now = log_time()
        is_new = not self.path.exists()
        with self._files.open(os.O_RDWR | os.O_CREAT) as log:
            torn = log.seek(0, os.SEEK_END) - state.size
            log.seek(state.size)
            log.truncate()
            digest = known.digest.copy()
            events: list[tuple[str, dict[str, Any]]] = []
            if state.latest is not None and now < state.latest - CLOCK_TOLERANCE:
                behind = round((state.latest - now).total_seconds())
                events.append(
                    (CLOCK_BEHIND, {"latest": state.latest.isoformat(), "behind_seconds": behind})
                )
            if torn:
                events.append((TORN, {"bytes": torn}))
            begin, lines = state.size, b""
            for name, fields in (*events, (event, details)):
                line, state = new_line(state, name, now, fields)
                lines += line
            digest.update(lines)
            try:
                _write(log.fileno(), lines)
            except OSError:  # a full disk
                with contextlib.suppress(OSError):
                    os.ftruncate(log.fileno(), begin)
                raise
        if is_new:
            sync_folder(self.path.parent)
        self._files.write_head(state, digest)
        self._files.remember(state, digest)

    @contextlib.contextmanager
    def change(self, event: str, **details: Any) -> Iterator[dict[str, Any]]:
        """Log an `intent` line, run the block that makes a change, and log the event.

        If the block fails, `unfinished` is logged instead of the event.

        Yields
        ------
        dict
            Further details of the event, which the block may add.
        """
        self.append(INTENT, change=event, **details)
        added: dict[str, Any] = {}
        try:
            yield added
        except BaseException as error:
            with contextlib.suppress(OSError, EcgflError):  # why the change failed matters more
                self.append(UNFINISHED, change=event, reason=type(error).__name__)
            raise
        self.append(event, **details, **added)

    def require_whole(self) -> None:
        """Raise `UnusableInput` if the log is damaged or lost.

        Only lines that `audit.head` does not cover are parsed.
        """
        self._files.state()

    def entries(self) -> list[dict[str, Any]]:
        """Check and return every line. Raise `UnusableInput` that names the first wrong line."""
        return self._files.entries()

    def head(self) -> Head:
        """Return the head after checking every line, for a note outside this machine."""
        return head_of(self.entries())

    def last(self) -> Head:
        """Return the head without parsing every line, for a reply to the coordinator."""
        state = self._files.state().state
        return Head(state.lines, state.hash)

    def noted_head(self) -> Head | None:
        """Return what the head file says, without reading the log; None if there is none.

        Raises
        ------
        UnusableInput
            The head file is damaged.
        """
        head = self._files.read_head()
        return None if head is None else Head(head.lines, head.hash)

    def verify(self, noted: str | None = None) -> Head:
        """Check every line, and that a head noted earlier is still in the log.

        Parameters
        ----------
        noted : str or None
            Hash of the noted head.

        Raises
        ------
        UnusableInput
            The log is damaged or does not have the noted hash.
        """
        entries = self.entries()
        if noted is not None and noted not in {FIRST, *(entry["hash"] for entry in entries)}:
            cause = "Lines were removed from its end or the log was rewritten since that note"
            if entries and entries[0]["event"] == RESTARTED:
                cause = f"The log was restarted at {entries[0]['time']}"
            raise UnusableInput(
                f"{self.path}: none of its {len(entries)} lines has the noted hash {noted}",
                f"{cause}; compare it with your backup",
            )
        return head_of(entries)

    def restart(self, reason: str, **details: Any) -> Path | None:
        """Rename a damaged log and begin a new one, whose first line states what was lost.

        The caller must hold the lock.

        Parameters
        ----------
        reason : str
            What happened, in the user's words.
        **details
            Further keys of the first line.

        Returns
        -------
        Path or None
            New path of the old log; None if it was lost.

        Raises
        ------
        UsageError
            The log is intact, or the reason is empty.
        """
        reason = checked_reason(reason)
        problem = self._problem()
        if problem is None:
            raise UsageError(
                f"{self.path}: the log is whole, nothing was changed",
                "`ecgfl audit verify` checks it",
            )
        return self.replace(RESTARTED, {"reason": reason, "problem": problem, **details})

    def replace(
        self,
        event: str,
        details: dict[str, Any],
        further: Iterable[tuple[str, dict[str, Any]]] = (),
    ) -> Path | None:
        """Rename the log, if there is one, and begin a new one. The caller must hold the lock.

        Parameters
        ----------
        event : str
            Event of the first line, which also states what is known of the old log.
        details : dict
            Further keys of the first line.
        further : iterable of (str, dict)
            Events and details of further lines.

        Returns
        -------
        Path or None
            New path of the old log; None if it was lost.
        """
        try:
            head = self._files.read_head()
        except UnusableInput:
            head = None
        now, readable = log_time(), self._files.readable_part()
        aside = None
        if os.path.lexists(self.path):
            aside = self.path.with_name(
                f"{self.path.stem}-{now:%Y%m%dT%H%M%S%f}Z{self.path.suffix}"
            )
            self.path.rename(aside)
        lost = {
            "last_known": None if head is None else {"lines": head.lines, "hash": head.hash},
            "readable": {"lines": readable.lines, "hash": readable.hash},
            "kept": None if aside is None else aside.name,
        }
        lines, state = new_line(LogState(), event, now, {**details, **lost})
        for name, fields in further:
            line, state = new_line(state, name, now, fields)
            lines += line
        atomic_write_bytes(self.path, lines, mode=0o600)
        self._files.write_head(state, hashlib.sha256(lines))
        self._files.forget()
        return aside

    def _problem(self) -> str | None:
        """Return what is wrong with the log, or None."""
        try:
            self.entries()
            self._files.state()
        except UnusableInput as error:
            return error.problem
        return None


class AuditEntries:
    """The lines of a log without their check, for reading it often: only new lines are parsed.

    Damaged lines are left out, because `AuditLog` finds them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0

    def new(self) -> tuple[bool, list[dict[str, Any]]]:
        """Return the lines that were added since the last call.

        Returns
        -------
        replaced : bool
            Whether the log was replaced. Then all its lines are returned.
        entries : list of dict
            The lines.
        """
        size = self._path.stat().st_size if self._path.is_file() else 0
        is_replaced = size < self._size
        if is_replaced:
            self._size = 0
        if size == self._size:
            return is_replaced, []
        with self._path.open("rb") as file:
            file.seek(self._size)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._size += len(data)
        return is_replaced, [entry for entry in map(_parsed, data.splitlines()) if entry]


def newest_number(path: Path, field: str) -> int:
    """Return the number in a field of the newest line that has it; 0 if no line has it.

    The log is read from its end and not checked, which `AuditLog` does.

    Parameters
    ----------
    path : Path
        The log; it need not exist.
    field : str
        Name of the field.
    """
    mark = f'"{field}":'.encode()
    for line in _from_the_end(path, mark):
        number = (_parsed(line) or {}).get(field)
        if isinstance(number, int) and not isinstance(number, bool):
            return number
    return 0


def _from_the_end(path: Path, mark: bytes) -> Iterator[bytes]:
    """Yield the lines of a file that contain a mark, last one first."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        left, rest = file.seek(0, os.SEEK_END), b""
        while left:
            size = min(left, READ_AT_ONCE)
            left -= size
            file.seek(left)
            block = file.read(size) + rest
            if mark in block:  # splitting takes most of the time
                rest, *lines = block.split(b"\n")
                yield from (line for line in reversed(lines) if mark in line)
            else:
                rest = block.partition(b"\n")[0]
        if mark in rest:
            yield rest


def without_finished_intents(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out each `intent` line whose change is also logged."""
    finished: set[int] = set()
    waiting: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        if entry["event"] == INTENT:
            waiting.setdefault(str(entry.get("change")), []).append(index)
        else:
            finished |= set(waiting.pop(entry["event"], []))
    return [entry for index, entry in enumerate(entries) if index not in finished]


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _write(descriptor: int, data: bytes) -> None:
    """Write all data, and wait until it is on the disk."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)
