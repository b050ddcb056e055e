"""What became of a run, round by round: on the disk after every round, so that a killed run's record goes on with it."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ecgfl_cli.errors import EcgflError
from ecgfl_cli.federation.coordinator.json_file import load_json
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult, RunPlan
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.manifest import Manifest

REPORT_SCHEMA: Literal["ecgfl.run-report/1"] = "ecgfl.run-report/1"
LARGEST_REPORT = 256 * 2**20
"""Largest size of a report in bytes. A site takes about 500 bytes in a round: 200 sites fill it in 2,500 rounds."""

Outcome = Literal["running", "finished", "failed", "interrupted"]


class RunReport(BaseModel):
    """The report of one run.

    plan : of the last `serve`. starts : how often `serve` was started for it. began, ended : ISO 8601, UTC.
    problem : why it did not finish. left_out : replies that were dropped in rounds that failed.
    final : version of its newest model. start : where its first weights come from, in words.
    absent : sites that may take part and were asked in no round. If there was no round: those that were not connected.
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
    left_out: list[str] = []
    final: str
    start: str | None = None
    absent: list[str] = []
    rounds: list[RoundResult] = []

    @property
    def sites(self) -> list[str]:
        """Every site that took part or was left out, by name."""
        dropped = {line.split(": ", 1)[0] for each in self.rounds for line in each.dropped}
        dropped |= {line.split(": ", 1)[0] for line in self.left_out}
        return sorted({name for each in self.rounds for name in each.sites} | dropped)

    def end_with(self, latest: Manifest) -> None:
        """Take over what the run's newest model says. A kill may have come after a round was announced: with its model, it is
        confirmed now; without, it is done again.
        """
        self.rounds = [each for each in self.rounds if each.round <= latest.round]
        if self.rounds and not self.rounds[-1].version:
            self.rounds[-1].version = latest.version
        self.final = latest.version

    def to_bytes(self) -> bytes:
        return self.model_dump_json(by_alias=True, indent=1).encode() + b"\n"


class RunRecord:
    """A run's report while the run goes on. path : its file; None keeps it in memory only. phase : what is being done now."""

    def __init__(
        self, path: Path | None, plan: RunPlan, latest: Manifest, start: str | None = None
    ) -> None:
        self._path = path
        self.phase = "waiting for sites"
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
        self.report.outcome, self.report.ended, self.report.problem = "running", None, None

    @property
    def rounds(self) -> list[RoundResult]:
        """Of this process; fewer than the run's when it was resumed."""
        return self.report.rounds[self._before :]

    @property
    def first_examples(self) -> dict[str, int]:
        """Training beats that each site spoke of first in the run."""
        first: dict[str, int] = {}
        for each in self.report.rounds:
            first = {**each.examples_by_site, **first}
        return first

    @property
    def first_held_out(self) -> dict[str, int]:
        """Held-out beats that each site reported first in the run."""
        first: dict[str, int] = {}
        for each in self.report.rounds:
            first = {
                **{name: site.beats for name, site in each.by_site.items() if site.beats},
                **first,
            }
        return first

    def announce(self, result: RoundResult) -> None:
        """A round's model, as yet without a version, is about to be stored."""
        self.report.rounds.append(result)
        self.save()

    def confirm(self, version: str) -> None:
        """The model of the round that was announced is stored under this version."""
        self.report.rounds[-1].version = self.report.final = version
        self.save()

    def save(self) -> None:
        """Put the report as it stands on the disk."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write_bytes(self._path, self.report.to_bytes())

    def end(self, error: BaseException | None = None) -> None:
        """The run is over, or this process is with it. error : what ended it too early."""
        self.report.ended = now()
        self.report.rounds = [each for each in self.report.rounds if each.version]
        if error is None:
            self.report.outcome = "finished"
        elif isinstance(error, KeyboardInterrupt):
            self.report.outcome, self.report.problem = (
                "interrupted",
                "ended by hand; serve again to go on",
            )
        else:
            self.report.outcome = "failed"
            self.report.problem = (
                str(error)
                if isinstance(error, EcgflError | OSError)
                else f"a bug: {type(error).__name__}"
            )
        self.save()


def load_report(path: Path) -> RunReport:
    """Raises `UnusableInput` naming the file and the field."""
    fix = "Restore it from your backup; or move it away, and the report begins anew"
    return load_json(path, RunReport, fix, LARGEST_REPORT)


def plan_in_words(plan: RunPlan) -> dict[str, Any]:
    """The plan's values for JSON, by the names of the options of `serve`."""
    fields = {
        name: value for name, value in asdict(plan).items() if name not in ("origins", "hours")
    }
    return {**fields, "hours": None if plan.hours is None else str(plan.hours)}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
