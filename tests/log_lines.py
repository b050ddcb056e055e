"""Read ecgfl's log in tests: the JSON lines of a process, or the records of this process."""

import json
import logging
import re
from typing import Any

from ecgfl_cli.logs import PACKAGES, Event

PREFIX = re.compile(
    r"^\d{4}-\d\d-\d\dT\S+ (?:DEBUG|INFO|WARNING|ERROR|CRITICAL) ", flags=re.MULTILINE
)
"""The time and the level, with which a line begins if stderr is not a terminal."""

PROGRESS = re.compile(r"^\S+ INFO [^:\n]+: \d+ of \d+\n", flags=re.MULTILINE)
"""A line of progress. A terminal shows a bar instead."""


def as_on_a_terminal(text: str) -> str:
    """Return what a process wrote to stderr, without the times and the lines of progress."""
    return PREFIX.sub("", PROGRESS.sub("", text))


def entry_of(line: str) -> dict[str, Any] | None:
    """Return the object of a JSON line; None for any other line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "event" in entry else None


def shown(entry: dict[str, Any]) -> str:
    """Return an entry as a terminal shows it."""
    if entry["level"] in ("ERROR", "CRITICAL"):
        return f"ecgfl: {entry['message']}"
    return f"{entry['source']}: {entry['message']}" if "source" in entry else entry["message"]


def matches(entry: dict[str, Any], event: Event, fields: dict[str, Any]) -> bool:
    """Return whether an entry is about this event and has these fields."""
    return entry["event"] == event and all(
        entry.get(name) == value for name, value in fields.items()
    )


class _Records(logging.Handler):
    """Keeps the messages that ecgfl logs in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        for name in PACKAGES:
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.messages.append(record.getMessage())


_RECORDS = _Records()


class Heard:
    """The messages that ecgfl logs in this process from now on."""

    def __init__(self) -> None:
        self._first = len(_RECORDS.messages)
        for name in PACKAGES:
            logging.getLogger(name).setLevel(logging.INFO)

    @property
    def lines(self) -> list[str]:
        """The messages so far."""
        return _RECORDS.messages[self._first :]
