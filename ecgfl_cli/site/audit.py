"""audit.jsonl: what this site did and sent, each line chained to the one before by its hash."""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ecgfl_cli.errors import UnusableInput

FIRST = "0" * 64


class AuditLog:
    """Append-only JSON lines. `previous` of each is the SHA-256 of the line before it, without its newline."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, event: str, **fields: Any) -> None:
        """Write one line and wait until it is on the disk. The caller holds the home's lock."""
        entry = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields, "previous": self._head()}
        with self._path.open("ab") as log:
            log.write(json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n")
            log.flush()
            os.fsync(log.fileno())

    def entries(self) -> list[dict[str, Any]]:
        """Every line, checked. Raises `UnusableInput` naming the first line that does not follow from the one before."""
        previous, entries = FIRST, []
        for number, line in enumerate(self._lines(), start=1):
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise self._broken(number, "is not JSON") from error
            if not isinstance(entry, dict) or entry.get("previous") != previous:
                raise self._broken(number, "does not follow from the line before it")
            previous = _digest(line)
            entries.append(entry)
        return entries

    def _lines(self) -> list[bytes]:
        return self._path.read_bytes().splitlines() if self._path.is_file() else []

    def _head(self) -> str:
        if not self._path.is_file():
            return FIRST
        with self._path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - 65536))
            lines = log.read().splitlines()
        return _digest(lines[-1]) if lines else FIRST

    def _broken(self, number: int, problem: str) -> UnusableInput:
        return UnusableInput(
            f"{self._path}: line {number} {problem}", "Somebody changed the audit log; compare it with your backup"
        )


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
