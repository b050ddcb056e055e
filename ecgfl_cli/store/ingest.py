"""Add recordings to the store, one file at a time, and remove them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from ecgfl_adapters.errors import AdapterError

from ecgfl_cli.errors import EcgflError
from ecgfl_cli.processes import (
    LONGEST_SECONDS,
    Lost,
    Track,
    begin_loading,
    each_in_a_process,
    untracked,
)
from ecgfl_cli.quality.findings import Finding, Severity
from ecgfl_cli.site.audit import INTENT, AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import Pseudonyms
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.store import WORKER_MODULES
from ecgfl_cli.store.beat_files import remove_beats
from ecgfl_cli.store.catalogue import Catalogue, RecordRow, Status, open_catalogue
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
    """The outcome of one file.

    Attributes
    ----------
    path : Path
        The file.
    outcome : {"added", "updated", "unchanged", "unreadable"}
        What happened to it.
    record : str or None
        Pseudonym of the recording; None for an unreadable file.
    status : str or None
        What the recording can be used for; None for an unreadable file.
    findings : list of Finding
        Results of the checks.
    error : str or None
        Why the file is unreadable.
    """

    path: Path
    outcome: Outcome
    record: str | None
    status: Status | None
    findings: list[Finding]
    error: str | None


def ingest_files(
    home: Home,
    recordings: list[Path],
    reading: Reading,
    jobs: int = 1,
    track: Track[Ingested] = untracked,
) -> list[Ingested]:
    """Bring recordings into a site's store, and count the outcomes in its audit log.

    Parameters
    ----------
    home
        The site's home; it is locked meanwhile.
    recordings
        One path for each recording.
    reading
        How they are read and checked, and what is kept of them.
    jobs
        Number of processes.
    track
        Shows the progress.

    Returns
    -------
    list of Ingested
        The outcome of each recording, in order. An unreadable one does not stop the others.

    Raises
    ------
    HomeInUse
        Another ecgfl uses the home.
    """
    begin_loading(WORKER_MODULES)
    results: list[Ingested] = []
    with exclusive(home.lock), open_catalogue(home.catalogue) as catalogue:
        try:
            work = ingest(recordings, reading, home, catalogue, jobs)
            results.extend(track(work, len(recordings)))
        except BaseException:
            # The error that stopped the ingest matters more than one in the log.
            with suppress(OSError, EcgflError):
                _log_outcomes(home, results)
            raise
        _log_outcomes(home, results)
    return results


def _log_outcomes(home: Home, results: list[Ingested]) -> None:
    outcomes = Counter(result.outcome for result in results)
    AuditLog(home.audit).append(EVENT, outcomes=dict(outcomes))


def ingest(
    paths: list[Path],
    reading: Reading,
    home: Home,
    catalogue: Catalogue,
    jobs: int,
    seconds: float = LONGEST_SECONDS,
) -> Iterator[Ingested]:
    """Add files to the store, and yield the outcome of each, in order.

    After a kill at any moment, the store has the records committed so far; the next run removes the
    rest. The audit log names each recording before the store changes.

    Parameters
    ----------
    paths : list of Path
        The files.
    reading : Reading
        How they are read and checked.
    home : Home
        The site's home.
    catalogue : Catalogue
        Its catalogue.
    jobs : int
        Largest number of worker processes.
    seconds : float
        Time limit for a file.
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
            f"{path}: {staged.reason}. Export the file again; if that does not help, report this "
            "line to us",
        )
    if isinstance(staged, Unreadable):
        return Ingested(path, "unreadable", None, None, [], staged.reason)
    log_intent = cache(
        partial(AuditLog(home.audit).append, INTENT, change=EVENT, record=staged.row.record)
    )
    catalogue.before_change = log_intent
    before = catalogue.row(staged.row.record)
    # Earlier versions took predictions that no person had corrected for labels.
    is_by_machine = (
        before is not None and before.labels != "" and before.labels == staged.machine_labels
    )
    row, findings = identified(staged, before, catalogue, is_unclear)
    is_known = before is not None and not is_by_machine and _is_known(before, row)
    if before is not None and is_known and _is_whole(home.records, before, row, staged.folder):
        remove_signals(staged.folder.parent, staged.folder.name)
        if not before.labels or row.labels:
            new, known = replace(row, added=before.added), catalogue.findings(row.record)
            if staged.patient_by != "place" and any(
                finding["code"] == UNCLEAR for finding in known
            ):
                known = [finding for finding in known if finding["code"] != UNCLEAR]
                catalogue.put(before, known)
            signal_findings = _of_the_signal([finding.as_dict() for finding in findings])
            if (new, signal_findings) != (before, _of_the_signal(known)):
                catalogue.put(new, _stored_findings(findings, known))
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
    """Whether the labels are the stored ones. A copy without labels does not remove them."""
    return (before.labels, before.lead) == (row.labels, row.lead) or bool(
        before.labels and not row.labels
    )


def _is_whole(records: Path, before: RecordRow, row: RecordRow, staged: Path) -> bool:
    """Whether the stored files need no repair.

    They are the staged ones or, if the copy has no labels, readable.
    """
    if before.labels == row.labels:
        return holds(records, row.record, staged)
    try:
        return read_signals(records, row.record).labels is not None
    except AdapterError:
        return False


def _of_the_signal(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings that do not depend on other recordings."""
    return [finding for finding in findings if finding["code"] not in IDENTITY_CODES]


def _stored_findings(findings: list[Finding], before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the present findings and the earlier ones about the recording's identity."""
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
