"""Record what a run does, round by round.

The report is written after each round, so that a run that was killed continues the same report.
"""

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ecgfl_cli.errors import EcgflError
from ecgfl_cli.federation.coordinator.json_file import load_json
from ecgfl_cli.federation.coordinator.runs.dropped import Dropped, with_lines, without_lines
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult, RunPlan
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.manifest import Manifest

REPORT_SCHEMA: Literal["ecgfl.run-report/1"] = "ecgfl.run-report/1"
LARGEST_REPORT = 256 * 2**20
"""Largest size of a report in bytes. A site takes about 500 bytes in a round: 200 sites fill it in
2,500 rounds."""

Outcome = Literal["running", "finished", "failed", "interrupted"]


class Phase(StrEnum):
    """What a run is doing."""

    WAITING_FOR_SITES = "waiting for sites"
    WAITING_FOR_HOURS = "waiting for the hours"
    TRAINING = "training"
    MEASURING = "measuring"
    ENDED = "ended"


class RunReport(BaseModel):
    """The report of one run.

    Attributes
    ----------
    plan
        Plan of the last `serve`.
    began, ended
        Times by ISO 8601, UTC.
    starts
        Number of times that `serve` was started for this run.
    problem
        Why the run did not finish.
    left_out
        Replies that were dropped in rounds that failed.
    final
        Version of the run's newest model.
    start
        Where the run's first weights come from, in words.
    absent
        Sites that may take part and were asked in no round. If there was no round: those that were
        not connected.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    schema_name: Annotated[Literal["ecgfl.run-report/1"], Field(alias="schema")] = REPORT_SCHEMA
    run: str
    architecture: str
    plan: dict[str, Any]
    began: str
    starts: int = 0
    ended: str | None = None
    outcome: Outcome = "running"
    problem: str | None = None
    left_out: list[Dropped] = []
    final: str
    start: str | None = None
    absent: list[str] = []
    rounds: list[RoundResult] = []

    @model_validator(mode="before")
    @classmethod
    def _read_dropped(cls, fields: Any) -> Any:
        return without_lines(fields, "left_out")

    @model_serializer(mode="wrap")
    def _write_dropped(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return with_lines(write(self), "left_out")

    @property
    def sites(self) -> list[str]:
        """Names of the sites that took part or whose reply was dropped."""
        dropped = [*self.left_out, *(reply for result in self.rounds for reply in result.dropped)]
        took_part = {name for result in self.rounds for name in result.sites}
        return sorted(took_part | {reply.site for reply in dropped})

    def end_with(self, latest: Manifest) -> None:
        """Let the report agree with the run's newest model.

        `serve` may have been killed after a round was announced. If its model was stored, the round
        is confirmed now; otherwise it is removed, and will be repeated.
        """
        self.rounds = [result for result in self.rounds if result.round <= latest.round]
        if self.rounds and not self.rounds[-1].version:
            self.rounds[-1].version = latest.version
        self.final = latest.version

    def to_bytes(self) -> bytes:
        """Return the report as JSON."""
        return self.model_dump_json(by_alias=True, indent=1).encode() + b"\n"


class RunRecord:
    """The report of a run while it is served.

    Parameters
    ----------
    path
        File of the report, which is continued if it exists; None keeps the report in memory.
    plan
        Plan of the run.
    latest
        The run's newest model.
    start
        Where the run's first weights come from, in words.

    Attributes
    ----------
    hours
        Hours in which a round may begin; None for any time.
    phase
        What the run is doing.
    phase_round
        Round that is being trained or measured; None in other phases.
    """

    def __init__(
        self, path: Path | None, plan: RunPlan, latest: Manifest, start: str | None = None
    ) -> None:
        self._path = path
        self.hours = plan.hours
        self.phase = Phase.WAITING_FOR_SITES
        self.phase_round: int | None = None
        known = None if path is None or not path.is_file() else load_report(path)
        self.report = known or RunReport(
            run=latest.run,
            architecture=latest.architecture,
            plan={},
            began=now(),
            final=latest.version,
        )
        self.report.start = start or self.report.start
        self.report.end_with(latest)
        self._before = len(self.report.rounds)
        self.report.plan = plan_in_words(plan)
        self.report.starts += 1
        self.report.outcome = "running"
        self.report.ended = None
        self.report.problem = None

    @property
    def rounds(self) -> list[RoundResult]:
        """Rounds of this process; fewer than the run's if the run was resumed."""
        return self.report.rounds[self._before :]

    @property
    def first_examples(self) -> dict[str, int]:
        """Number of training beats that each site declared first in the run."""
        first: dict[str, int] = {}
        for result in self.report.rounds:
            first = {**result.examples_by_site, **first}
        return first

    @property
    def first_held_out(self) -> dict[str, int]:
        """Number of held-out beats that each site reported first in the run."""
        first: dict[str, int] = {}
        for result in self.report.rounds:
            beats = {name: site.beats for name, site in result.by_site.items() if site.beats}
            first = {**beats, **first}
        return first

    def enter(self, phase: Phase, this_round: int | None = None) -> None:
        """Begin a phase.

        Parameters
        ----------
        phase
            The phase.
        this_round
            Round that is being trained or measured.
        """
        self.phase = phase
        self.phase_round = this_round

    def announce(self, result: RoundResult) -> None:
        """Add a round whose model is about to be stored and has no version yet."""
        self.report.rounds.append(result)
        self.save()

    def confirm(self, version: str) -> None:
        """Store the version of the announced round's model."""
        self.report.rounds[-1].version = version
        self.report.final = version
        self.save()

    def save(self) -> None:
        """Write the report to its file."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write_bytes(self._path, self.report.to_bytes())

    def end(self, error: BaseException | None = None) -> None:
        """Write the end of the run, or of this process's part of it.

        Parameters
        ----------
        error
            What ended the run too early.
        """
        self.report.ended = now()
        self.report.rounds = [result for result in self.report.rounds if result.version]
        if error is None:
            self.report.outcome = "finished"
        elif isinstance(error, KeyboardInterrupt):
            self.report.outcome = "interrupted"
            self.report.problem = "interrupted; serve again to resume the run"
        else:
            self.report.outcome = "failed"
            is_explained = isinstance(error, EcgflError | OSError)
            self.report.problem = str(error) if is_explained else f"a bug: {type(error).__name__}"
        self.save()


def load_report(path: Path) -> RunReport:
    """Read a report.

    Raises
    ------
    UnusableInput
        If the file is broken. The message names the file and the field.
    FileNotFoundError
        If there is no such file.
    """
    fix = "Restore it from your backup; or move it away, and the next run starts a new report"
    return load_json(path, RunReport, fix, LARGEST_REPORT)


def plan_in_words(plan: RunPlan) -> dict[str, Any]:
    """Return the plan's values for JSON, by the names of the options of `serve`."""
    fields = {
        name: value
        for name, value in asdict(plan).items()
        if name not in ("origins", "hours", "privacy")
    }
    return {
        **fields,
        "hours": None if plan.hours is None else str(plan.hours),
        "privacy": None if plan.privacy is None else plan.privacy.in_words(),
    }


def plan_sha256(plan: RunPlan) -> str:
    """Return the SHA-256 of a plan, written as JSON with sorted keys and the values of a report."""
    text = json.dumps(plan_in_words(plan), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def now() -> str:
    """Return the current time by ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
