"""The lines of an audit log: each has its number, the hash of the previous line and its own hash.

A line is a JSON object with sorted keys and without spaces. Its hash is the SHA-256 of the same
object without the key `hash`.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from ecgfl_cli.times import current_time, time_of

FIRST = "0" * 64
"""Hash that the first line names as that of the previous line."""

CLOCK_BEHIND = "clock-behind"
"""Event: the clock was set back by more than `CLOCK_TOLERANCE`, so the following lines have
earlier times."""

CLOCK_TOLERANCE = timedelta(seconds=60)
"""How much earlier than the latest line a line may be without a `clock-behind` line. NTP corrects a
running clock by seconds."""

LONGEST_LINE = 65_536
"""Largest size of a line in bytes."""

LONGEST_TEXTS = (4096, 1024, 256, 64)
"""Largest number of characters of a text in the details, which may quote what another party sent.

The first limit with which the line is short enough is used. A character takes up to 12 bytes.
"""


@dataclass(frozen=True)
class LogState:
    """The state of a log after one of its lines.

    Attributes
    ----------
    lines : int
        Number of lines.
    hash : str
        Hash of the last line.
    size : int
        Size of these lines in bytes.
    latest : datetime or None
        Latest time of a line.
    has_numbers : bool
        Whether the next line must have a number. Lines of early logs have none.
    """

    lines: int = 0
    hash: str = FIRST
    size: int = 0
    latest: datetime | None = None
    has_numbers: bool = False


class BrokenLine(ValueError):
    """A line does not follow from the previous one; the message says why."""


def new_line(
    state: LogState, event: str, time: datetime, details: dict[str, Any]
) -> tuple[bytes, LogState]:
    """Return a new line and the state of the log after it.

    Parameters
    ----------
    state : LogState
        The state before the line.
    event : str
        What happened.
    time : datetime
        When it happened, in UTC.
    details : dict
        Further keys of the line. Long texts are shortened.

    Raises
    ------
    ValueError
        There are too many details for a line.
    """
    moment = time.isoformat(timespec="milliseconds")
    for shortened in _ever_shorter(details):
        entry = {
            "time": moment,
            "line": state.lines + 1,
            "event": event,
            **shortened,
            "previous": state.hash,
        }
        digest = _hash(entry)
        line = _canonical({**entry, "hash": digest}) + b"\n"
        if len(line) <= LONGEST_LINE:
            break
    else:
        raise ValueError(f"an audit line of {len(line)} bytes")
    latest = time if state.latest is None or event == CLOCK_BEHIND else max(time, state.latest)
    return line, LogState(state.lines + 1, digest, state.size + len(line), latest, True)


def check_line(state: LogState, line: bytes) -> tuple[dict[str, Any], LogState]:
    """Parse a line and check that it follows from the previous one.

    Returns
    -------
    entry : dict
        The line.
    state : LogState
        The state of the log after it.

    Raises
    ------
    BrokenLine
        It does not follow.
    """
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        _fail("is not JSON")
    if not isinstance(entry, dict) or entry.get("previous") != state.hash:
        _fail("does not follow from the line before it")
    try:
        digest = _hash(entry)
    except (ValueError, RecursionError):
        digest = ""
    if entry.get("hash") != digest:
        _fail("was changed")
    has_numbers = state.has_numbers or "line" in entry
    if has_numbers and (type(entry.get("line")) is not int or entry["line"] != state.lines + 1):
        _fail(f"has the number {str(entry.get('line'))[:20]}")
    time, event = _time_of(entry.get("time")), entry.get("event")
    if time is None or not isinstance(event, str):
        _fail("has no usable time or no event")
    latest = state.latest
    is_explained = (
        event == CLOCK_BEHIND and latest is not None and _time_of(entry.get("latest")) == latest
    )
    if latest is not None and time < latest - CLOCK_TOLERANCE and not is_explained:
        _fail(
            f"has the time {time.isoformat(timespec='seconds')}, earlier than a line before it, "
            "and no line explains why"
        )
    return entry, replace(
        state,
        lines=state.lines + 1,
        hash=digest,
        size=state.size + len(line),
        latest=time if latest is None or is_explained else max(time, latest),
        has_numbers=has_numbers,
    )


def log_time() -> datetime:
    """Return the current time in UTC in whole milliseconds, as lines have it.

    Raises
    ------
    UnusableInput
        The clock is wrong by decades or centuries.
    """
    now = current_time()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _ever_shorter(details: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the details with shorter and shorter texts, and at last with containers as texts."""
    for longest in LONGEST_TEXTS:
        yield {name: _shortened(value, longest) for name, value in details.items()}
    flat = {
        name: json.dumps(value) if isinstance(value, dict | list | tuple) else value
        for name, value in details.items()
    }
    yield {name: _shortened(value, LONGEST_TEXTS[-1]) for name, value in flat.items()}


def _shortened(value: Any, longest: int) -> Any:
    """Shorten a text, and each text in a list or dictionary."""
    if isinstance(value, str):
        return f"{value[:longest]} ..." if len(value) > longest else value
    if isinstance(value, dict):
        return {name: _shortened(member, longest) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(member, longest) for member in value]
    return value


def _fail(problem: str) -> NoReturn:
    raise BrokenLine(problem)


def _time_of(text: Any) -> datetime | None:
    """Parse a time with a time zone; return None for anything else."""
    try:
        return time_of(text)
    except ValueError:
        return None


def _hash(entry: dict[str, Any]) -> str:
    unsigned = {name: value for name, value in entry.items() if name != "hash"}
    return hashlib.sha256(_canonical(unsigned)).hexdigest()


def _canonical(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
