"""Read and check an audit log and its head.

`audit.head` beside `audit.jsonl` holds the number of lines and the last hash, and is replaced after
every line. After a kill it may lag behind the log, but it never names a line that is not in the
log. Therefore it does not match a log that was deleted, shortened or rewritten.
"""

import contextlib
import hashlib
import itertools
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.schemas import StrictModel
from ecgfl_cli.site.audit_lines import FIRST, LONGEST_LINE, BrokenLine, LogState, check_line
from ecgfl_cli.times import checked_time

MOST_LINES = 10**9
HEAD_SCHEMA: Literal["ecgfl.audit-head/1"] = "ecgfl.audit-head/1"
SHA256 = "^[0-9a-f]{64}$"
LARGEST_HEAD_FILE = 4096
HASHED_AT_ONCE = 2**20

TRACES = ("federation.json", "records/*", "models/*", "models.json", "sites/*.pub")
"""Files that ecgfl creates only in a home with a log. If one exists, a log must have existed."""


@dataclass(frozen=True)
class Head:
    """The head of a log.

    Attributes
    ----------
    lines : int
        Number of lines.
    hash : str
        Hash of the last line; 64 zeros for an empty log.
    """

    lines: int
    hash: str


class HeadFile(StrictModel):
    """Content of audit.head.

    Attributes
    ----------
    lines, hash
        As in `Head`.
    size, sha256
        Size in bytes and SHA-256 of the log up to the last line.
    latest : datetime or None
        Latest time of a line.
    """

    schema_name: Annotated[Literal["ecgfl.audit-head/1"], Field(alias="schema")] = HEAD_SCHEMA
    lines: Annotated[int, Field(ge=0, le=MOST_LINES)]
    hash: Annotated[str, Field(pattern=SHA256)]
    size: Annotated[int, Field(ge=0, le=MOST_LINES * LONGEST_LINE)]
    sha256: Annotated[str, Field(pattern=SHA256)]
    latest: Annotated[AwareDatetime, AfterValidator(checked_time)] | None


@dataclass(frozen=True)
class KnownLog:
    """What this process last read or wrote of a log.

    Attributes
    ----------
    version : tuple of int
        Version of both files.
    state : LogState
        State after the last complete line.
    digest : hashlib hash
        SHA-256 of the bytes up to there.
    """

    version: tuple[int, ...]
    state: LogState
    digest: "hashlib._Hash"


_KNOWN: dict[Path, KnownLog] = {}
"""Path of a log -> what is known of it. An unchanged log is not read again."""


class CheckedLog:
    """The files of a log, which are checked whenever they are read.

    Parameters
    ----------
    path : Path
        The log.
    restart : str
        What to do about a damaged log, for messages.
    traces : tuple of str
        Shell patterns of files beside the log that exist only if the log has a line.
    """

    def __init__(self, path: Path, restart: str, traces: tuple[str, ...] = TRACES) -> None:
        self.path = path
        self.head_path = path.with_suffix(".head")
        self._restart = restart
        self._traces = traces

    def open(self, flags: int) -> BinaryIO:
        """Open the log. Raise `UnusableInput` for a link or a pipe."""
        return _open(self.path, flags)

    def version(self) -> tuple[int, ...]:
        """Return numbers that change when one of the two files changes."""
        return (*_version(self.path), *_version(self.head_path))

    def remember(self, state: LogState, digest: "hashlib._Hash") -> None:
        """Remember the state that this process has written."""
        _KNOWN[self.path] = KnownLog(self.version(), state, digest)

    def forget(self) -> None:
        """Forget what is known of the log, because it was replaced."""
        _KNOWN.pop(self.path, None)

    def state(self) -> KnownLog:
        """Check the log and return its state after the last complete line.

        Only lines that the head does not cover are parsed. An incomplete line may follow, which a
        kill left.

        Raises
        ------
        UnusableInput
            The log is damaged or lost.
        """
        known = _KNOWN.get(self.path)
        version = self.version()
        if known is not None and known.version == version:
            return known
        head = self.read_head()
        with self._reading() as log:
            if log is None:
                self._require_new(head)
                return KnownLog((), LogState(), hashlib.sha256())
            begin, digest = LogState(), hashlib.sha256()
            if head is not None:
                digest = _digest(log, head.size)
                if digest.hexdigest() != head.sha256:
                    self.entries()  # names the first line that is wrong
                    raise self._rewritten(head)
                begin = LogState(head.lines, head.hash, head.size, head.latest, has_numbers=True)
            state = deque(itertools.chain([begin], self._walk(log, begin)), maxlen=1).pop()
            if head is None and state.has_numbers:
                raise self._without_head()
            log.seek(begin.size)
            digest.update(log.read(state.size - begin.size))
        known = KnownLog(version, state, digest)
        if state.lines:
            _KNOWN[self.path] = known
        return known

    def entries(self) -> list[dict[str, Any]]:
        """Check and return every line.

        Raises
        ------
        UnusableInput
            A line does not follow from the previous one, or lines are missing.
        """
        head = self.read_head()  # first, because a line may be added meanwhile
        entries: list[dict[str, Any]] = []
        with self._reading() as log:
            if log is None:
                self._require_new(head)
                return []
            sizes = [state.size for state in self._walk(log, LogState(), entries)]
        self._require_head(head, entries, sizes)
        return entries

    def readable_part(self) -> Head:
        """Return the head of the part in which each line follows from the previous one."""
        entries: list[dict[str, Any]] = []
        with contextlib.suppress(UnusableInput), self._reading() as log:
            if log is not None:
                deque(self._walk(log, LogState(), entries), maxlen=0)
        return head_of(entries)

    def read_head(self) -> HeadFile | None:
        """Return the content of the head file, or None if there is none."""
        try:
            with _open(self.head_path, os.O_RDONLY) as file:
                return HeadFile.model_validate_json(file.read(LARGEST_HEAD_FILE + 1))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise UnusableInput(f"{self.head_path}: damaged", self._restart) from error

    def write_head(self, state: LogState, digest: "hashlib._Hash") -> None:
        """Replace the head file."""
        head = HeadFile(
            lines=state.lines,
            hash=state.hash,
            size=state.size,
            sha256=digest.hexdigest(),
            latest=state.latest,
        )
        try:
            atomic_write_bytes(
                self.head_path, head.model_dump_json(by_alias=True).encode() + b"\n", mode=0o600
            )
        except PermissionError:
            # On Windows, a file that another program reads cannot be replaced. The head may lag.
            if os.name != "nt" or not self.head_path.exists():
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[BinaryIO | None]:
        """Open the log; None if it does not exist or is empty."""
        try:
            log = self.open(os.O_RDONLY)
        except FileNotFoundError:
            yield None
            return
        with log:
            yield log if os.fstat(log.fileno()).st_size else None

    def _walk(
        self, log: BinaryIO, begin: LogState, entries: list[dict[str, Any]] | None = None
    ) -> Iterator[LogState]:
        """Check each complete line after `begin` and yield the state after it."""
        state = begin
        log.seek(begin.size)
        while (line := log.readline(LONGEST_LINE + 1)).endswith(b"\n"):
            try:
                entry, state = check_line(state, line)
            except BrokenLine as error:
                raise self._broken(state.lines + 1, str(error)) from error
            if entries is not None:
                entries.append(entry)
            yield state
        if len(line) > LONGEST_LINE:
            raise self._broken(state.lines + 1, f"is longer than {LONGEST_LINE} bytes")

    def _require_head(
        self, head: HeadFile | None, entries: list[dict[str, Any]], sizes: list[int]
    ) -> None:
        """Raise `UnusableInput` unless the head matches one of these lines."""
        if head is None:
            if not entries:
                self._require_new(None)
            elif "line" in entries[-1]:
                raise self._without_head()
        elif head.lines > len(entries):
            raise UnusableInput(
                f"{self.path}: {head.lines - len(entries)} lines are missing at its end: it has "
                f"{len(entries)} lines, and {self.head_path.name} says {head.lines}",
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

    def _require_new(self, head: HeadFile | None) -> None:
        """Raise `UnusableInput` if a log must have existed."""
        if head is not None and head.lines:
            raise UnusableInput(
                f"{self.path}: missing or empty, and {self.head_path.name} says that it had "
                f"{head.lines} lines",
                self._restart,
            )
        home = self.path.parent
        traces = [
            path
            for pattern in self._traces
            for path in home.glob(pattern)
            if not path.name.startswith(".")
        ]
        if head is None and traces:
            raise UnusableInput(
                f"{self.path}: missing, but {traces[0].relative_to(home)} is never written without "
                "a line in the log",
                self._restart,
            )

    def _without_head(self) -> UnusableInput:
        return UnusableInput(
            f"{self.head_path}: missing, so it is unknown whether the log is whole", self._restart
        )

    def _rewritten(self, head: HeadFile) -> UnusableInput:
        return UnusableInput(
            f"{self.path}: line {head.lines} is not the one that {self.head_path.name} names: the "
            "log was rewritten",
            self._restart,
        )

    def _broken(self, number: int, problem: str) -> UnusableInput:
        return UnusableInput(
            f"{self.path}: line {number} {problem}: the log was changed or damaged", self._restart
        )


def head_of(entries: list[dict[str, Any]]) -> Head:
    """Return the head of a log with these lines."""
    return Head(len(entries), entries[-1]["hash"] if entries else FIRST)


def _open(path: Path, flags: int) -> BinaryIO:
    """Open a regular file.

    Raises
    ------
    OSError
        It cannot be opened.
    UnusableInput
        It is a link or a pipe, which another user could have put there.
    """
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


def _version(path: Path) -> tuple[int, ...]:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _digest(log: BinaryIO, size: int) -> "hashlib._Hash":
    """Return the SHA-256 of the first `size` bytes, or of the whole log if it is shorter."""
    digest, left = hashlib.sha256(), size
    log.seek(0)
    while left and (data := log.read(min(left, HASHED_AT_ONCE))):
        digest.update(data)
        left -= len(data)
    return digest
