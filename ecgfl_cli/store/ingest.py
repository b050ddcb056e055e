"""Add recordings to the store, one file at a time, and remove them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from ecgfl_adapters.errors import AdapterError

from ecgfl_cli.processes import LONGEST_SECONDS, Lost, each_in_a_process
from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.site.audit import INTENT, AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import Pseudonyms
from ecgfl_cli.store.beat_files import remove_beats
from ecgfl_cli.store.catalogue import Catalogue, RecordRow, Status
from ecgfl_cli.store.identity import IDENTITY_CODES, UNCLEAR, identified
from ecgfl_cli.store.patient_key import ambiguous, check_rule
from ecgfl_cli.store.reading import Reading
from ecgfl_cli.store.signals import (
    commit_signals,
    holds,
    read_signals,
    remove_signals,
    staging_folder,
)
from ecgfl_cli.store.stage import Staged, Staging, Unreadable, stage

EVENT = "ingest"
"""Name of the event in the audit log."""

Outcome = Literal["added", "updated", "unchanged", "unreadable"]


@dataclass(frozen=True)
class Ingested:
    """What became of one file. record and status are None when it was unreadable, error is then the reason."""

    path: Path
    outcome: Outcome
    record: str | None
    status: Status | None
    findings: list[Finding]
    error: str | None


def ingest(
    paths: list[Path],
    reading: Reading,
    home: Home,
    catalogue: Catalogue,
    jobs: int,
    seconds: float = LONGEST_SECONDS,
) -> Iterator[Ingested]:
    """Bring files into the store; yields what became of each, in order. An unreadable file stops nothing.

    seconds : after which a file is given up.

    A kill at any moment leaves the records committed so far; the next run clears the rest away and goes on. The audit log names
    each recording before the store changes.
    """
    check_rule(reading.patient)
    AuditLog(home.audit).append(INTENT, change=EVENT, files=len(paths))
    unclear = ambiguous(paths)
    with staging_folder(home.records, {row.record for row in catalogue.rows()}) as folder:
        work = partial(stage, staging=Staging(reading, Pseudonyms(home), folder))
        for path, staged in zip(paths, each_in_a_process(work, paths, jobs, seconds), strict=True):
            yield _commit(path, staged, home, catalogue, path in unclear)


def _commit(
    path: Path,
    staged: Staged | Unreadable | Lost,
    home: Home,
    catalogue: Catalogue,
    is_unclear: bool,
) -> Ingested:
    if isinstance(staged, Lost):
        staged = Unreadable(
            path,
            f"{path}: {staged.reason}. Export the file again; if that does not help, report this line to us",
        )
    if isinstance(staged, Unreadable):
        return Ingested(path, "unreadable", None, None, [], staged.reason)
    log_intent = cache(
        partial(AuditLog(home.audit).append, INTENT, change=EVENT, record=staged.row.record)
    )
    catalogue.before_change = log_intent
    before = catalogue.row(staged.row.record)
    # Earlier versions took predictions that nobody corrected for labels.
    is_by_machine = (
        before is not None and before.labels != "" and before.labels == staged.machine_labels
    )
    row, findings = identified(staged, before, catalogue, is_unclear)
    is_known = before is not None and not is_by_machine and _is_known(before, row)
    if before is not None and is_known and _is_whole(home.records, before, row, staged.folder):
        remove_signals(staged.folder.parent, staged.folder.name)
        if not before.labels or row.labels:
            judged, known = replace(row, added=before.added), catalogue.findings(row.record)
            if staged.patient_by != "place" and any(each["code"] == UNCLEAR for each in known):
                known = [each for each in known if each["code"] != UNCLEAR]
                catalogue.put(before, known)
            if (judged, _of_the_signal([each.as_dict() for each in findings])) != (
                before,
                _of_the_signal(known),
            ):
                catalogue.put(judged, _noted(findings, known))
                return Ingested(path, "updated", row.record, row.status, findings, None)
        return Ingested(path, "unchanged", row.record, before.status, findings, None)
    log_intent()
    remove_beats(home.beats, row.record)
    commit_signals(home.records, staged.folder, row.record)
    catalogue.put(row, [finding.as_dict() for finding in findings])
    return Ingested(
        path, "added" if before is None else "updated", row.record, row.status, findings, None
    )


def _is_known(before: RecordRow, row: RecordRow) -> bool:
    """Whether a recording brings no other labels. A copy without labels takes none away."""
    return (before.labels, before.lead) == (row.labels, row.lead) or bool(
        before.labels and not row.labels
    )


def _is_whole(records: Path, before: RecordRow, row: RecordRow, staged: Path) -> bool:
    """Whether what the store holds of a recording needs no repair: the same files, or a readable record if the copy is bare."""
    if before.labels == row.labels:
        return holds(records, row.record, staged)
    try:
        return read_signals(records, row.record).labels is not None
    except AdapterError:
        return False


def _of_the_signal(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [finding for finding in findings if finding["code"] not in IDENTITY_CODES]


def _noted(findings: list[Finding], before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What to keep: what was found now, and what was found about its identity when it first came."""
    now = [finding.as_dict() for finding in findings]
    codes = {finding.code for finding in findings}
    kept = [finding for finding in before if finding["code"] in IDENTITY_CODES - codes]
    return sorted([*now, *kept], key=lambda finding: Severity(finding["severity"]).rank)


def remove_record(home: Home, catalogue: Catalogue, record: str) -> None:
    """Remove a recording and its beats.

    The catalogue's row is removed last, so that a recording can be removed again after a kill.
    """
    remove_beats(home.beats, record)
    remove_signals(home.records, record)
    catalogue.remove(record)
