"""audit.jsonl: what this site did and sent. Each line holds its number, the hash of the previous line, and its own hash.

`audit.head` beside it holds the number of lines and the last hash, and is replaced after every line. After a kill it may lag
behind the log, but it never names a line that is not in the log. Therefore it does not match a log that was deleted, shortened or
rewritten. Before each new line, the whole log is compared with `audit.head`.
"""

import contextlib
import hashlib
import itertools
import json
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, NoReturn

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from ecgfl_cli.errors import EcgflError, UnusableInput, UsageError
from ecgfl_cli.files import atomic_write_bytes, sync_folder
from ecgfl_cli.schemas import StrictModel
from ecgfl_cli.times import checked_time, current_time, time_of

FIRST = "0" * 64
TORN = "torn-line"
"""Event: an incomplete last line, left by a kill, was removed."""
CLOCK_BEHIND = "clock-behind"
"""Event: the clock was set back by more than `CLOCK_TOLERANCE`, so the following lines have earlier times."""
INTENT, UNFINISHED = "intent", "unfinished"
"""Events before a change, and after a change that ended with an error."""
RESTARTED = "audit-restarted"
"""First event of a log that replaces a lost or damaged one."""
CLOCK_TOLERANCE = timedelta(seconds=60)
"""How much earlier than the latest line a line may be without a `clock-behind` line. NTP corrects a running clock by seconds."""
LONGEST_LINE = 65_536
"""Bytes."""
LONGEST_TEXTS = (4096, 1024, 256, 64)
"""Characters of one text in the details. An error's reason may quote what another party sent. The first bound is used with which
the line is short enough; a character takes up to 12 bytes."""
LONGEST_REASON = 500
"""Characters of the reason for `audit restart`."""
MOST_LINES = 10**9
HEAD_SCHEMA: Literal["ecgfl.audit-head/1"] = "ecgfl.audit-head/1"
SHA256 = "^[0-9a-f]{64}$"
LARGEST_HEAD_FILE = 4096
HASHED_AT_ONCE = 2**20

TRACES = ("federation.json", "records/*", "models/*", "sites/*.pub")
"""Files that ecgfl creates only in a home with a log. If one of them exists, a log must have existed."""


@dataclass(frozen=True)
class Head:
    """The head of a log: its number of lines and the hash of the last one (64 zeros for an empty log)."""

    lines: int
    hash: str


class _HeadFile(StrictModel):
    """Content of audit.head. size, sha256 : those of the log up to the last line. latest : the latest time of a line."""

    schema_name: Annotated[Literal["ecgfl.audit-head/1"], Field(alias="schema")] = HEAD_SCHEMA
    lines: Annotated[int, Field(ge=0, le=MOST_LINES)]
    hash: Annotated[str, Field(pattern=SHA256)]
    size: Annotated[int, Field(ge=0, le=MOST_LINES * LONGEST_LINE)]
    sha256: Annotated[str, Field(pattern=SHA256)]
    latest: Annotated[AwareDatetime, AfterValidator(checked_time)] | None


@dataclass(frozen=True)
class _Checked:
    """State of a log that was checked up to `size` bytes. has_numbers : whether the next line must have a number."""

    lines: int = 0
    hash: str = FIRST
    size: int = 0
    latest: datetime | None = None
    has_numbers: bool = False


@dataclass(frozen=True)
class _Known:
    """What this process last read or wrote. version : that of both files. digest : that of the log's bytes so far."""

    version: tuple[int, ...]
    checked: _Checked
    digest: "hashlib._Hash"


_KNOWN: dict[Path, _Known] = {}
"""Path of a log -> what is known of it. A log that has not changed since this process last looked is not read again."""


class _BrokenLine(ValueError):
    """Says what is wrong with a line."""


class AuditLog:
    """The log at `path`. To append, hold the lock of the home (at a coordinator, the separate lock of the log).

    restart : the command that restarts this log, for messages.
    """

    def __init__(self, path: Path, restart: str = "ecgfl audit restart") -> None:
        self._path = path
        self._head_path = path.with_suffix(".head")
        self._restart = (
            f"Restore {path.name} and {self._head_path.name} from the same backup. Without one, `{restart} --reason TEXT`"
            " renames the old file and begins a new log"
        )

    @property
    def path(self) -> Path:
        return self._path

    def append(self, event: str, **fields: Any) -> None:
        """Check the log, write one line, and wait until it is on the disk. Raises `UnusableInput` if the log is damaged."""
        try:
            self._append(event, fields)
        except OSError as error:
            error.filename = error.filename or str(
                self._path
            )  # an error of a full disk names no file
            raise

    def _append(self, event: str, fields: dict[str, Any]) -> None:
        known = self._whole()
        checked = known.checked
        if not self._head_path.exists():
            self._write_head(checked, known.digest)  # a log with a numbered line always has a head
        now = _now()
        is_new = not self._path.exists()
        with self._open(os.O_RDWR | os.O_CREAT) as log:
            torn = log.seek(0, os.SEEK_END) - checked.size
            log.seek(checked.size)
            log.truncate()
            digest = known.digest.copy()
            extra: list[tuple[str, dict[str, Any]]] = []
            if torn:
                extra.append((TORN, {"bytes": torn}))
            if checked.latest is not None and now < checked.latest - CLOCK_TOLERANCE:
                behind = round((checked.latest - now).total_seconds())
                extra.insert(
                    0,
                    (
                        CLOCK_BEHIND,
                        {"latest": checked.latest.isoformat(), "behind_seconds": behind},
                    ),
                )
            begin, lines = checked.size, b""
            for name, details in (*extra, (event, fields)):
                line, checked = _line(checked, name, now, details)
                lines += line
            digest.update(lines)
            try:
                _write(log.fileno(), lines)
            except OSError:  # a full disk
                with contextlib.suppress(OSError):
                    os.ftruncate(log.fileno(), begin)
                raise
        if is_new:
            sync_folder(self._path.parent)
        self._write_head(checked, digest)
        _KNOWN[self._path] = _Known(self._version(), checked, digest)

    @contextlib.contextmanager
    def change(self, event: str, **fields: Any) -> Iterator[None]:
        """Log an `intent` line, run the block that makes the change, and log the event, or `unfinished` if the block fails."""
        self.append(INTENT, change=event, **fields)
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(OSError, EcgflError):  # why the change failed matters more
                self.append(UNFINISHED, change=event, reason=type(error).__name__)
            raise
        self.append(event, **fields)

    def require_whole(self) -> None:
        """Raises `UnusableInput` if the log is damaged or lost. Parses only the lines that `audit.head` does not cover."""
        self._whole()

    def entries(self) -> list[dict[str, Any]]:
        """Check and return every line. Raises `UnusableInput` naming the first line that does not follow from the previous."""
        head = self._read_head()  # first: a line may be added meanwhile
        entries: list[dict[str, Any]] = []
        with self._reading() as log:
            if log is None:
                self._require_new(head)
                return []
            sizes = [each.size for each in self._walk(log, _Checked(), entries)]
        self._require_head(head, entries, sizes)
        return entries

    def head(self) -> Head:
        """Return the head after checking every line, for a note outside this machine. Raises like `entries`."""
        return _head(self.entries())

    def last(self) -> Head:
        """Return the head without parsing each line, for a reply to the coordinator. Raises like `require_whole`."""
        checked = self._whole().checked
        return Head(checked.lines, checked.hash)

    def verify(self, noted: str | None = None) -> Head:
        """Check every line, and that a head noted earlier is still in the log. Raises `UnusableInput`."""
        entries = self.entries()
        if noted is not None and noted not in {FIRST, *(entry["hash"] for entry in entries)}:
            anew = (
                f"The log was restarted at {entries[0]['time']}"
                if entries and entries[0]["event"] == RESTARTED
                else ""
            )
            raise UnusableInput(
                f"{self._path}: none of its {len(entries)} lines has the noted hash {noted}",
                f"{anew or 'Lines were removed from its end or the log was rewritten since that note'}; compare it with your"
                " backup",
            )
        return _head(entries)

    def restart(self, reason: str) -> Path | None:
        """Rename a damaged log and begin a new one, whose first line states what was lost. The caller must hold the lock.

        Returns the new path of the old log, or None if it was lost. Raises `UsageError` if the log is intact.
        """
        reason = " ".join(reason.split())[:LONGEST_REASON]
        if not reason:
            raise UsageError(
                "--reason is empty",
                "Say what happened, for instance --reason 'the disk failed on 1 March'",
            )
        problem = self._problem()
        if problem is None:
            raise UsageError(
                f"{self._path}: the log is whole, nothing was changed",
                "`ecgfl audit verify` checks it",
            )
        try:
            head = self._read_head()
        except UnusableInput:
            head = None
        now, whole = _now(), self._readable()
        aside = None
        if os.path.lexists(self._path):
            aside = self._path.with_name(
                f"{self._path.stem}-{now:%Y%m%dT%H%M%S%f}Z{self._path.suffix}"
            )
            self._path.rename(aside)
        details = {
            "reason": reason,
            "problem": problem,
            "last_known": None if head is None else {"lines": head.lines, "hash": head.hash},
            "readable": {"lines": whole.lines, "hash": whole.hash},
            "kept": None if aside is None else aside.name,
        }
        line, checked = _line(_Checked(), RESTARTED, now, details)
        atomic_write_bytes(self._path, line, mode=0o600)
        self._write_head(checked, hashlib.sha256(line))
        _KNOWN.pop(self._path, None)
        return aside

    def _readable(self) -> Head:
        """Return the head of the part of the log in which each line follows from the previous one."""
        entries: list[dict[str, Any]] = []
        with contextlib.suppress(UnusableInput), self._reading() as log:
            if log is not None:
                deque(self._walk(log, _Checked(), entries), maxlen=0)
        return _head(entries)

    def _problem(self) -> str | None:
        try:
            self.entries()
            self._whole()
        except UnusableInput as error:
            return error.problem
        return None

    def _whole(self) -> _Known:
        """Check the log and return its state up to the last complete line. An incomplete line may follow, which a kill left."""
        known = _KNOWN.get(self._path)
        version = self._version()
        if known is not None and known.version == version:
            return known
        head = self._read_head()
        with self._reading() as log:
            if log is None:
                self._require_new(head)
                return _Known((), _Checked(), hashlib.sha256())
            begin, digest = _Checked(), hashlib.sha256()
            if head is not None:
                digest = _digest(log, head.size)
                if digest.hexdigest() != head.sha256:
                    self.entries()  # names the first line that is wrong
                    raise self._rewritten(head)
                begin = _Checked(head.lines, head.hash, head.size, head.latest, has_numbers=True)
            checked = deque(itertools.chain([begin], self._walk(log, begin)), maxlen=1).pop()
            if head is None and checked.has_numbers:
                raise self._without_head()
            log.seek(begin.size)
            digest.update(log.read(checked.size - begin.size))
        known = _Known(version, checked, digest)
        if checked.lines:
            _KNOWN[self._path] = known
        return known

    def _walk(
        self, log: BinaryIO, begin: _Checked, entries: list[dict[str, Any]] | None = None
    ) -> Iterator[_Checked]:
        """Check each complete line after `begin`. Raises `UnusableInput`."""
        checked = begin
        log.seek(begin.size)
        while (line := log.readline(LONGEST_LINE + 1)).endswith(b"\n"):
            try:
                entry, checked = _followed(checked, line)
            except _BrokenLine as error:
                raise self._broken(checked.lines + 1, str(error)) from error
            if entries is not None:
                entries.append(entry)
            yield checked
        if len(line) > LONGEST_LINE:
            raise self._broken(checked.lines + 1, f"is longer than {LONGEST_LINE} bytes")

    def _require_head(
        self, head: _HeadFile | None, entries: list[dict[str, Any]], sizes: list[int]
    ) -> None:
        """Raises `UnusableInput` unless the head matches one of these lines."""
        if head is None:
            if not entries:
                self._require_new(None)
            elif "line" in entries[-1]:
                raise self._without_head()
        elif head.lines > len(entries):
            raise UnusableInput(
                f"{self._path}: {head.lines - len(entries)} lines are missing at its end: it has {len(entries)} lines, and"
                f" {self._head_path.name} says {head.lines}",
                self._restart,
            )
        elif head.lines and (entries[head.lines - 1]["hash"], sizes[head.lines - 1]) != (
            head.hash,
            head.size,
        ):
            raise self._rewritten(head)
        elif unnumbered := [
            number
            for number, entry in enumerate(entries, 1)
            if number > head.lines and "line" not in entry
        ]:
            raise self._broken(unnumbered[0], "has no number")

    def _require_new(self, head: _HeadFile | None) -> None:
        """Raises `UnusableInput` if a log must have existed."""
        if head is not None and head.lines:
            raise UnusableInput(
                f"{self._path}: missing or empty, and {self._head_path.name} says that it had {head.lines} lines",
                self._restart,
            )
        home = self._path.parent
        traces = [
            found
            for pattern in TRACES
            for found in home.glob(pattern)
            if not found.name.startswith(".")
        ]
        if head is None and traces:
            raise UnusableInput(
                f"{self._path}: missing, but {traces[0].relative_to(home)} is never written without a line in the log",
                self._restart,
            )

    def _without_head(self) -> UnusableInput:
        return UnusableInput(
            f"{self._head_path}: missing, so it is unknown whether the log is whole", self._restart
        )

    def _rewritten(self, head: _HeadFile) -> UnusableInput:
        return UnusableInput(
            f"{self._path}: line {head.lines} is not the one that {self._head_path.name} names: the log was rewritten",
            self._restart,
        )

    def _broken(self, number: int, problem: str) -> UnusableInput:
        return UnusableInput(
            f"{self._path}: line {number} {problem}: the log was changed or damaged", self._restart
        )

    def _read_head(self) -> _HeadFile | None:
        try:
            with _open(self._head_path, os.O_RDONLY) as file:
                return _HeadFile.model_validate_json(file.read(LARGEST_HEAD_FILE + 1))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise UnusableInput(f"{self._head_path}: damaged", self._restart) from error

    def _write_head(self, checked: _Checked, digest: "hashlib._Hash") -> None:
        head = _HeadFile(
            lines=checked.lines,
            hash=checked.hash,
            size=checked.size,
            sha256=digest.hexdigest(),
            latest=checked.latest,
        )
        try:
            atomic_write_bytes(
                self._head_path, head.model_dump_json(by_alias=True).encode() + b"\n", mode=0o600
            )
        except PermissionError:
            # On Windows a file that another program reads cannot be replaced. The head may lag behind the log.
            if os.name != "nt" or not self._head_path.exists():
                raise

    def _version(self) -> tuple[int, ...]:
        """Return numbers that change when one of the two files changes."""
        return (*_version(self._path), *_version(self._head_path))

    def _open(self, flags: int) -> BinaryIO:
        return _open(self._path, flags)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[BinaryIO | None]:
        """Open the log; None if it does not exist or is empty."""
        try:
            log = self._open(os.O_RDONLY)
        except FileNotFoundError:
            yield None
            return
        with log:
            yield log if os.fstat(log.fileno()).st_size else None


def without_finished_intents(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out each `intent` line whose change is also logged."""
    finished: set[int] = set()
    waiting: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        if entry["event"] == INTENT:
            waiting.setdefault(str(entry.get("change")), []).append(place)
        else:
            finished |= set(waiting.pop(entry["event"], []))
    return [entry for place, entry in enumerate(entries) if place not in finished]


def _head(entries: list[dict[str, Any]]) -> Head:
    return Head(len(entries), entries[-1]["hash"] if entries else FIRST)


def _open(path: Path, flags: int) -> BinaryIO:
    """Open a regular file. Raises `OSError`, and `UnusableInput` for a link or pipe, which another user could have put there."""
    flags |= (
        getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    if path.is_symlink():
        raise UnusableInput(
            f"{path}: a symbolic link",
            f"Remove the link and put the file itself there: rm '{path}'",
        )
    descriptor = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnusableInput(
            f"{path}: not a regular file", f"Move it away: mv '{path}' '{path}.old'"
        )
    return os.fdopen(descriptor, "rb" if not flags & os.O_RDWR else "rb+")


def _write(descriptor: int, data: bytes) -> None:
    """Write all data, and wait until it is on the disk."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)


def _version(path: Path) -> tuple[int, ...]:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _digest(log: BinaryIO, size: int) -> "hashlib._Hash":
    """Return the SHA-256 of the first `size` bytes of the log, or of the whole log if it is shorter."""
    digest, left = hashlib.sha256(), size
    log.seek(0)
    while left and (data := log.read(min(left, HASHED_AT_ONCE))):
        digest.update(data)
        left -= len(data)
    return digest


def _line(
    before: _Checked, event: str, time: datetime, fields: dict[str, Any]
) -> tuple[bytes, _Checked]:
    """Return a new line and the state of the log after it. Long details are shortened. Raises `ValueError` for too many."""
    moment = time.isoformat(timespec="milliseconds")
    for details in _ever_shorter(fields):
        entry = {
            "time": moment,
            "line": before.lines + 1,
            "event": event,
            **details,
            "previous": before.hash,
        }
        digest = _hash(entry)
        line = _canonical({**entry, "hash": digest}) + b"\n"
        if len(line) <= LONGEST_LINE:
            break
    else:
        raise ValueError(f"an audit line of {len(line)} bytes")
    latest = time if before.latest is None or event == CLOCK_BEHIND else max(time, before.latest)
    return line, _Checked(
        before.lines + 1, digest, before.size + len(line), latest, has_numbers=True
    )


def _ever_shorter(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the details with shorter and shorter texts, and at last with lists and dictionaries as short texts too."""
    for longest in LONGEST_TEXTS:
        yield {name: _shortened(value, longest) for name, value in fields.items()}
    flat = {
        name: json.dumps(value) if isinstance(value, dict | list | tuple) else value
        for name, value in fields.items()
    }
    yield {name: _shortened(value, LONGEST_TEXTS[-1]) for name, value in flat.items()}


def _shortened(value: Any, longest: int) -> Any:
    """Shorten a text, and each text in a list or dictionary."""
    if isinstance(value, str):
        return f"{value[:longest]} ..." if len(value) > longest else value
    if isinstance(value, dict):
        return {name: _shortened(each, longest) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(each, longest) for each in value]
    return value


def _followed(before: _Checked, line: bytes) -> tuple[dict[str, Any], _Checked]:
    """Parse a line. Return it and the log's state after it. Raises `_BrokenLine` unless it follows from the previous line."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        _fail("is not JSON")
    if not isinstance(entry, dict) or entry.get("previous") != before.hash:
        _fail("does not follow from the line before it")
    try:
        digest = _hash(entry)
    except (ValueError, RecursionError):
        digest = ""
    if entry.get("hash") != digest:
        _fail("was changed")
    numbered = before.has_numbers or "line" in entry
    if numbered and (type(entry.get("line")) is not int or entry["line"] != before.lines + 1):
        _fail(f"has the number {str(entry.get('line'))[:20]}")
    time, event = _time_of(entry.get("time")), entry.get("event")
    if time is None or not isinstance(event, str):
        _fail("has no usable time or no event")
    latest = before.latest
    explained = (
        event == CLOCK_BEHIND and latest is not None and _time_of(entry.get("latest")) == latest
    )
    if latest is not None and time < latest - CLOCK_TOLERANCE and not explained:
        _fail(
            f"has the time {time.isoformat(timespec='seconds')}, earlier than a line before it, and no line explains why"
        )
    latest = time if latest is None or explained else max(time, latest)
    return entry, replace(
        before,
        lines=before.lines + 1,
        hash=digest,
        size=before.size + len(line),
        latest=latest,
        has_numbers=numbered,
    )


def _fail(problem: str) -> NoReturn:
    raise _BrokenLine(problem)


def _now() -> datetime:
    """Return the current time in UTC, in whole milliseconds as in a line. Raises `UnusableInput` if the clock is wrong."""
    now = current_time()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _time_of(text: Any) -> datetime | None:
    """Parse a time with a time zone; return None for anything else."""
    try:
        return time_of(text)
    except ValueError:
        return None


def _hash(entry: dict[str, Any]) -> str:
    return hashlib.sha256(
        _canonical({name: value for name, value in entry.items() if name != "hash"})
    ).hexdigest()


def _canonical(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
