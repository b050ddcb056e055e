"""audit.jsonl: what this site did and sent, each line chained to the one before by its hash."""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ecgfl_cli.errors import UnusableInput

FIRST = "0" * 64
TORN = "torn-line"
"""The event of having taken away what a kill left of a last line."""
LONGEST_LINE = 65_536
"""Bytes; enough of the log's end to hold its last line."""


@dataclass(frozen=True)
class Head:
    """What stands for a whole log: its number of lines and the last one's hash (64 zeros of an empty one)."""

    lines: int
    hash: str


class AuditLog:
    """Append-only JSON lines. `hash` is the SHA-256 of a line's other fields, `previous` the hash of the line before."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, event: str, **fields: Any) -> None:
        """Write one line and wait until it is on the disk. The caller holds the home's lock.

        Raises `ValueError` for more than `LONGEST_LINE` bytes, which nothing that ecgfl writes down comes near.
        """
        self._path.touch(mode=0o600)
        with self._path.open("rb+") as log:
            previous, torn = _seek_end(log)
            if torn:
                previous = _write(log, previous, TORN, {"bytes": torn})
            _write(log, previous, event, fields)
            log.flush()
            os.fsync(log.fileno())

    def entries(self) -> list[dict[str, Any]]:
        """Every line, checked. Raises `UnusableInput` naming the first line that does not follow from the one before."""
        previous, entries = FIRST, []
        text = self._path.read_bytes() if self._path.is_file() else b""
        lines = text[: text.rfind(b"\n") + 1].splitlines()  # what a kill left of a last line goes with the next append
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise self._broken(number, "is not JSON") from error
            if not isinstance(entry, dict) or entry.get("previous") != previous:
                raise self._broken(number, "does not follow from the line before it")
            previous = entry.get("hash", "")
            if previous != _hash(entry):
                raise self._broken(number, "was changed")
            entries.append(entry)
        return entries

    def head(self) -> Head:
        """For a note outside this machine. Raises as `entries` does."""
        return _head(self.entries())

    def verify(self, noted: str | None = None) -> Head:
        """Check every line, and that a head noted earlier is still one of them: else the log's end was cut off, or all of it
        written anew, which its own chain cannot show. Raises `UnusableInput`.
        """
        entries = self.entries()
        if noted is not None and noted not in {FIRST, *(entry["hash"] for entry in entries)}:
            raise UnusableInput(
                f"{self._path}: none of its {len(entries)} lines has the noted hash {noted}",
                "Lines were removed from its end or the log was written anew since that note; compare it with your backup",
            )
        return _head(entries)

    def _broken(self, number: int, problem: str) -> UnusableInput:
        return UnusableInput(
            f"{self._path}: line {number} {problem}",
            "Somebody changed the audit log; compare it with your backup. Where it is moved aside, a new one begins",
        )


def _head(entries: list[dict[str, Any]]) -> Head:
    return Head(len(entries), entries[-1]["hash"] if entries else FIRST)


def _write(log: IO[bytes], previous: str, event: str, fields: dict[str, Any]) -> str:
    """Write a line, and return its hash."""
    entry = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields, "previous": previous}
    digest = _hash(entry)
    line = _canonical({**entry, "hash": digest}) + b"\n"
    if len(line) > LONGEST_LINE:
        raise ValueError(f"an audit line of {len(line)} bytes: the next one would not find its end")
    log.write(line)
    return digest


def _seek_end(log: IO[bytes]) -> tuple[str, int]:
    """Go to the end, over the torn line that a kill may have left; the last whole line's hash, and the torn one's bytes."""
    size = log.seek(0, os.SEEK_END)
    start = log.seek(max(0, size - 2 * LONGEST_LINE))
    tail = log.read()
    whole = tail[: tail.rfind(b"\n") + 1]
    log.seek(start + len(whole))
    log.truncate()
    lines = whole.splitlines()
    return (str(json.loads(lines[-1])["hash"]) if lines else FIRST), len(tail) - len(whole)


def _hash(entry: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical({name: value for name, value in entry.items() if name != "hash"})).hexdigest()


def _canonical(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
