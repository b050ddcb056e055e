"""Count a coordinator's requests in this site's audit log, so that the counts survive a restart."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.times import time_of

DAY = timedelta(hours=24)
EVENT = "request"

Work = Literal["train", "measure", "none"]
"""What a request does with this site's data. none : nothing, because the site has already tested the model."""

WORK_OF_REPLY: dict[str, Work] = {"train": "train", "evaluate": "measure"}
"""Kind of a reply -> work, for older logs, which contain no requests."""


@dataclass(frozen=True)
class Asked:
    """A request of a coordinator. id : random, answered once. run : the coordinator's run. expires : ISO 8601."""

    id: str
    run: str
    expires: str


@dataclass(frozen=True)
class _Line:
    """A line about a request. is_answer : True if a reply was sent, False if work on a request began."""

    time: datetime
    is_answer: bool
    work: Work | None
    run: str | None
    round: int | None
    id: str | None


class RequestLog:
    """The requests in a site's audit log.

    A request is logged before the data is touched. Therefore it also counts if it is refused later, or if ecgfl is killed.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._audit = path, AuditLog(path)
        self._read, self._lines = 0, list[_Line]()

    def begin(self, asked: Asked, work: Work, model: str, this_round: int) -> None:
        """Log a request before it is answered. model : version of the model in the request. this_round : the round."""
        self._audit.append(
            EVENT,
            request=asked.id,
            run=asked.run,
            expires=asked.expires,
            work=work,
            model=model,
            round=this_round,
        )

    def is_known(self, request_id: str) -> bool:
        """Whether a request with this id was logged before."""
        return any(line.id == request_id for line in self._all())

    def in_a_day(self, work: Work, now: datetime) -> int:
        """Return how many such requests were logged in the 24 hours before `now`, which must have a time zone."""
        return sum(line.time > now - DAY for line in self._begun(work))

    def in_run(self, work: Work, run: str) -> int:
        """Return how many such requests were logged in a run."""
        return sum(line.run == run for line in self._begun(work))

    def in_round(self, work: Work, run: str, this_round: int) -> int:
        """Return how many such requests were logged in a round of a run."""
        return sum((line.run, line.round) == (run, this_round) for line in self._begun(work))

    def trainings_sent(self, now: datetime) -> int:
        """Return how often trained weights were sent in the 24 hours before `now`."""
        return sum(
            line.is_answer and line.work == "train" and line.time > now - DAY
            for line in self._all()
        )

    def _begun(self, work: Work) -> list[_Line]:
        """Return the lines of requests. In the older part of a log, which contains no requests, replies count instead."""
        lines = self._all()
        first = next((place for place, line in enumerate(lines) if not line.is_answer), len(lines))
        return [
            line
            for place, line in enumerate(lines)
            if line.work == work and (place < first or not line.is_answer)
        ]

    def _all(self) -> list[_Line]:
        """Return every line of the log about a request. Only what was added since the last call is read."""
        size = self._path.stat().st_size if self._path.is_file() else 0
        if size < self._read:  # the log was replaced
            self._read, self._lines = 0, []
        if size > self._read:
            with self._path.open("rb") as file:
                file.seek(self._read)
                text = file.read()
            text = text[: text.rfind(b"\n") + 1]
            self._read += len(text)
            self._lines += [line for line in map(_line, text.splitlines()) if line is not None]
        return self._lines


def _line(text: bytes) -> _Line | None:
    """Parse a line; None if it is not about a request. Damaged lines are ignored, because `audit verify` finds them."""
    if b'"request"' not in text and b'"send"' not in text:
        return None
    try:
        return _parsed(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _parsed(entry: dict[str, Any]) -> _Line | None:
    time = time_of(entry["time"])
    if entry["event"] == "send":
        return _Line(time, True, WORK_OF_REPLY.get(entry["kind"]), entry.get("run"), None, None)
    if entry["event"] == EVENT:
        return _Line(time, False, entry["work"], entry["run"], entry["round"], entry["request"])
    return None
