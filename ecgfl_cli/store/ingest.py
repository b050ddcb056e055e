"""File -> Recording -> findings -> store, one recording at a time."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import LIBRARY_ERRORS, AdapterError
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import classify
from ecgfl_cli.beats.conditioning import condition
from ecgfl_cli.beats.detection import detect
from ecgfl_cli.beats.leads import choose_lead
from ecgfl_cli.errors import EcgflError
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Finding, is_usable
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import Pseudonyms
from ecgfl_cli.store.beat_files import remove_beats
from ecgfl_cli.store.catalogue import Catalogue, RecordRow, Status
from ecgfl_cli.store.deidentify import deidentified, record_name
from ecgfl_cli.store.signals import clear_staging, commit_signals, remove_signals, stage_signals

Outcome = Literal["added", "updated", "unchanged", "unreadable"]


@dataclass(frozen=True)
class Examined:
    """A recording after the checks. row : as the catalogue would hold it."""

    row: RecordRow
    findings: list[Finding]
    recording: Recording


@dataclass(frozen=True)
class Ingested:
    """What became of one file. record and status are None when it was unreadable, error is then the reason."""

    path: Path
    outcome: Outcome
    record: str | None
    status: Status | None
    findings: list[Finding]
    error: str | None


@dataclass(frozen=True)
class _Staged:
    path: Path
    row: RecordRow | None
    findings: list[Finding]
    folder: Path | None
    error: str | None


def rhythm_beats(recording: Recording, lead_name: str | None) -> NDArray[np.int64]:
    """Beats for the quality checks, found in the rhythm lead; in samples of the recording."""
    lead = choose_lead(recording, lead_name)
    return detect(condition(lead.samples, recording.fs, recording.fs), recording.fs)


def examine(
    path: Path, file_format: str, options: ReadOptions, lead_name: str | None, limits: Limits, pseudonyms: Pseudonyms
) -> Examined:
    """Read, de-identify and check one file. Raises `AdapterError` or `EcgflError` when it cannot be read."""
    raw = read(path, file_format, options)
    recording = deidentified(raw, record_name(raw, pseudonyms))
    lead = recording.leads[raw.leads.index(choose_lead(raw, lead_name))]
    findings = check(recording, rhythm_beats(recording, lead.name), limits)
    counts = Counter(beat_class.name for label in recording.labels or () if (beat_class := classify(label.symbol)) is not None)
    status: Status = "rejected" if not is_usable(findings) else "usable" if counts else "unlabelled"
    row = RecordRow(
        record=recording.name,
        patient=pseudonyms.name("patient", raw.source.patient),
        status=status,
        fs=recording.fs,
        length=recording.length,
        leads=tuple(lead.name for lead in recording.leads),
        lead=lead.name,
        format=raw.source.format,
        labels="" if recording.labels is None else hashlib.sha256(json.dumps(recording.labels).encode()).hexdigest(),
        counts=dict(counts),
        added=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Examined(row, findings, recording)


def ingest(
    paths: list[Path],
    file_format: str,
    options: ReadOptions,
    lead_name: str | None,
    limits: Limits,
    home: Home,
    catalogue: Catalogue,
    jobs: int,
) -> Iterator[Ingested]:
    """Bring files into the store; yields what became of each, in order. An unreadable file stops nothing.

    A kill at any moment leaves the records committed so far; the next run clears the rest away and goes on.
    """
    clear_staging(home.records, {row.record for row in catalogue.rows()})
    work = partial(_stage, file_format=file_format, options=options, lead_name=lead_name, limits=limits, home=home)
    if jobs == 1:
        for path in paths:
            yield _commit(work(path), home, catalogue)
        return
    with ProcessPoolExecutor(min(jobs, os.cpu_count() or 1)) as pool:
        for staged in pool.map(work, paths):
            yield _commit(staged, home, catalogue)


def _stage(path: Path, file_format: str, options: ReadOptions, lead_name: str | None, limits: Limits, home: Home) -> _Staged:
    try:
        examined = examine(path, file_format, options, lead_name, limits, Pseudonyms(home))
        return _Staged(path, examined.row, examined.findings, stage_signals(home.records, examined.recording), None)
    except (AdapterError, EcgflError) as error:
        return _Staged(path, None, [], None, str(error))
    except LIBRARY_ERRORS as error:
        return _Staged(
            path,
            None,
            [],
            None,
            f"{path}: cannot be examined: {type(error).__name__}: {error}. Report this line to us",
        )


def _commit(staged: _Staged, home: Home, catalogue: Catalogue) -> Ingested:
    row = staged.row
    if row is None or staged.folder is None:
        return Ingested(staged.path, "unreadable", None, None, [], staged.error)
    before = catalogue.row(row.record)
    if before is not None:
        # The same signal under another name stays the first one's patient, and a copy without labels takes none away.
        row = replace(row, patient=before.patient)
        bare_copy = bool(before.labels) and not row.labels
        same = (before.labels, before.lead) == (row.labels, row.lead)
        if (home.records / row.record).is_dir() and (same or bare_copy):
            remove_signals(home.records, staged.folder.name)
            return Ingested(staged.path, "unchanged", row.record, before.status, staged.findings, None)
    remove_beats(home.beats, row.record)
    commit_signals(home.records, staged.folder, row.record)
    catalogue.put(row, [finding.as_dict() for finding in staged.findings])
    return Ingested(staged.path, "added" if before is None else "updated", row.record, row.status, staged.findings, None)
