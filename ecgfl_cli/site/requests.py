"""The coordinator's requests and this site's releases, as recorded in the audit log.

The bounds of the policy on rounds and measurements use these records, so that they hold across a
restart.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from ecgfl_cli.site.audit import AuditEntries, AuditLog
from ecgfl_cli.times import time_of

DAY = timedelta(hours=24)

EVENT = "request"
"""Event: work on a request begins."""

RELEASE = "send"
"""Event: something leaves this site."""

Work = Literal["train", "measure", "unmask", "none"]
"""What a request does with this site's data.

unmask : it reveals the sum of the updates of a round. none : nothing, because the model is already
tested, or the request is another stage of secure aggregation.
"""

WORK_OF_RELEASE: dict[str, Work] = {"train": "train", "evaluate": "measure"}
"""Kind of a release -> the work that it is the result of."""


@dataclass(frozen=True)
class Asked:
    """A request of a coordinator.

    Attributes
    ----------
    id : str
        Random identifier; a request is answered once.
    run : str
        The coordinator's run.
    expires : str
        Until when it is valid, ISO 8601.
    """

    id: str
    run: str
    expires: str


@dataclass(frozen=True)
class RecordedRequest:
    """A request on which work began.

    Attributes
    ----------
    time : datetime
        When the work began.
    work : {"train", "measure", "unmask", "none"}
        What it does with this site's data.
    run, round, id
        Of the request.
    """

    time: datetime
    work: Work
    run: str
    round: int
    id: str


@dataclass(frozen=True)
class RecordedRelease:
    """Something that left this site.

    Attributes
    ----------
    time : datetime
        When it was logged, before it was sent.
    work : {"train", "measure"} or None
        The work that it is the result of; None for anything else.
    run : str or None
        Of the request; None in early logs.
    """

    time: datetime
    work: Work | None
    run: str | None


class RequestLog:
    """The recorded requests and releases of a site.

    A request is recorded before the data is touched. Therefore it also counts if it is refused
    later, or if ecgfl is killed.

    Parameters
    ----------
    path : Path
        The site's audit log.
    """

    def __init__(self, path: Path) -> None:
        self._audit = AuditLog(path)
        self._entries = AuditEntries(path)
        self._requests: list[RecordedRequest] = []
        self._releases: list[RecordedRelease] = []
        self._early_releases: list[RecordedRelease] = []

    def begin(self, asked: Asked, work: Work, model: str, this_round: int) -> None:
        """Record a request before it is answered.

        Parameters
        ----------
        asked : Asked
            The request.
        work : {"train", "measure", "unmask", "none"}
            What it does with this site's data.
        model : str
            Version of the model in the request.
        this_round : int
            Round of the run.
        """
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
        """Whether a request with this identifier was recorded before."""
        self._read()
        return any(request.id == request_id for request in self._requests)

    def in_a_day(self, work: Work, now: datetime) -> int:
        """Return the number of requests for some work in the 24 hours before `now`."""
        return sum(record.time > now - DAY for record in self._begun(work))

    def in_run(self, work: Work, run: str) -> int:
        """Return the number of requests for some work in a run."""
        return sum(record.run == run for record in self._begun(work))

    def in_round(self, work: Work, run: str, this_round: int) -> int:
        """Return the number of requests for some work in a round of a run."""
        self._read()
        return sum(
            (request.work, request.run, request.round) == (work, run, this_round)
            for request in self._requests
        )

    def trainings_sent(self, now: datetime) -> int:
        """Return the number of releases of trained weights in the 24 hours before `now`."""
        self._read()
        return sum(
            release.work == "train" and release.time > now - DAY for release in self._releases
        )

    def _begun(self, work: Work) -> list[RecordedRequest | RecordedRelease]:
        """Return the records that count as work begun.

        Early logs have no requests. Their releases count instead.
        """
        self._read()
        records: list[RecordedRequest | RecordedRelease] = [
            *self._early_releases,
            *self._requests,
        ]
        return [record for record in records if record.work == work]

    def _read(self) -> None:
        """Read what was added to the log since the last call."""
        is_replaced, entries = self._entries.new()
        if is_replaced:
            self._requests, self._releases, self._early_releases = [], [], []
        for entry in entries:
            record = recorded(entry)
            if isinstance(record, RecordedRequest):
                self._requests.append(record)
            elif record is not None:
                self._releases.append(record)
                if not self._requests:
                    self._early_releases.append(record)


def recorded(entry: dict[str, Any]) -> RecordedRequest | RecordedRelease | None:
    """Return what a line of the log records; None for another event or a damaged line."""
    try:
        time = time_of(entry["time"])
        if entry["event"] == RELEASE:
            return RecordedRelease(time, WORK_OF_RELEASE.get(entry["kind"]), entry.get("run"))
        if entry["event"] == EVENT:
            return RecordedRequest(
                time, entry["work"], entry["run"], entry["round"], entry["request"]
            )
    except (ValueError, KeyError, TypeError):  # damaged, which `audit verify` reports
        return None
    return None
