"""File -> Recording -> findings -> staged files, for one file at a time; runs in a process of its own."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import AdapterError
from ecgfl_adapters.recording import BeatLabel, Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import classify
from ecgfl_cli.beats.annotated import annotated_part
from ecgfl_cli.beats.leads import choose_lead
from ecgfl_cli.errors import EcgflError, UnusableInput, of_one_file
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Finding, is_usable
from ecgfl_cli.quality.rhythm import rhythm_beats
from ecgfl_cli.site.keys import Pseudonyms
from ecgfl_cli.store.catalogue import RecordRow, Status
from ecgfl_cli.store.deidentify import characteristics, deidentified, methods, record_name
from ecgfl_cli.store.patient_key import NAME_KIND, Evidence, PatientKey, patient_key
from ecgfl_cli.store.reading import Reading
from ecgfl_cli.store.signals import stage_signals


@dataclass(frozen=True)
class Staging:
    """What a worker needs. folder : where this run stages its files."""

    reading: Reading
    pseudonyms: Pseudonyms
    folder: Path


@dataclass(frozen=True)
class Staged:
    """A file that waits to be committed.

    row : as the catalogue would hold it. patient_by : who says that it is this patient's.
    earlier : pseudonyms that earlier versions gave the patient where the file states no identifier: of its name or a placeholder.
    namesake : under the rule "name", the pseudonym that earlier versions made of this name; else "".
    machine_labels : digest of the labels that were left out because they are a prediction of this program; else "".
    folder : its files.
    """

    path: Path
    row: RecordRow
    patient_by: Evidence
    earlier: frozenset[str]
    namesake: str
    machine_labels: str
    findings: list[Finding]
    folder: Path


@dataclass(frozen=True)
class Unreadable:
    path: Path
    reason: str


def stage(path: Path, staging: Staging) -> Staged | Unreadable:
    """Read, de-identify, check and write one file beside its final place.

    Raises `UnusableInput` when it cannot be written: no other file could be, either.
    """
    try:
        raw = read(path, staging.reading.format, staging.reading.options_for(path))
        recording = deidentified(raw, record_name(raw, staging.pseudonyms))
        lead = recording.leads[raw.leads.index(choose_lead(raw, staging.reading.lead))]
        beats = rhythm_beats(recording, lead.name)
        findings = check(recording, beats, staging.reading.limits, lead.name)
        key = patient_key(raw, path, staging.reading.patient)
        row = _row(raw, recording, lead.name, beats, findings, key, staging)
        machine_labels = _machine_labels(path, raw, staging.reading)
    except (AdapterError, EcgflError) as error:
        return Unreadable(path, str(error))
    except Exception as error:  # noqa: BLE001 - a fault in one file must not stop the others
        return Unreadable(path, str(of_one_file(path, error)))
    try:
        return Staged(
            path,
            row,
            key.by,
            _earlier_patients(raw, staging.pseudonyms),
            staging.pseudonyms.name("patient", raw.name) if key.kind == NAME_KIND else "",
            machine_labels,
            findings,
            stage_signals(staging.folder, recording),
        )
    except OSError as error:
        raise UnusableInput(
            f"{staging.folder.parent}: cannot be written: {error.strerror or error}",
            "Free some space or mend the disk, and ingest again: what is stored already is kept",
        ) from error
    except Exception as error:  # noqa: BLE001 - a fault in one file must not stop the others
        reason = f"{path}: cannot be written as WFDB: {type(error).__name__}: {' '.join(str(error).split())}"
        return Unreadable(path, f"{reason}. Report this line to us")


def _earlier_patients(raw: Recording, pseudonyms: Pseudonyms) -> frozenset[str]:
    """Pseudonyms of what was taken for the patient's identifier before placeholders were known, and where there was none."""
    if raw.source.patient:
        return frozenset()
    stated = [text for text in raw.source.identifiers.values() if text.strip()]
    return frozenset(
        pseudonyms.name("patient", text)
        for text in (raw.name, *stated, *(text.split()[0] for text in stated))
    )


def _machine_labels(path: Path, raw: Recording, reading: Reading) -> str:
    """Digest of the prediction that was left out; "" without one."""
    if raw.label_origin != "machine":
        return ""
    options = replace(reading.options_for(path), accept_predictions=True)
    return _digest(read(path, reading.format, options).labels)


def _digest(labels: Sequence[BeatLabel] | None) -> str:
    return "" if labels is None else hashlib.sha256(json.dumps(labels).encode()).hexdigest()


def _row(
    raw: Recording,
    recording: Recording,
    lead: str,
    beats: NDArray[np.int64],
    findings: list[Finding],
    patient: PatientKey,
    staging: Staging,
) -> RecordRow:
    counts = _usable_labels(recording, beats)
    status: Status = "rejected" if not is_usable(findings) else "usable" if counts else "unlabelled"
    name = staging.pseudonyms.name
    return RecordRow(
        record=recording.name,
        patient=name(
            patient.kind, patient.text if patient.by == "file" else os.fsencode(patient.text)
        ),
        person=name("person", raw.source.person) if raw.source.person else "",
        source=name("source", os.fsencode(raw.source.path.name)),
        status=status,
        fs=recording.fs,
        length=recording.length,
        leads=tuple(lead.name for lead in recording.leads),
        lead=lead,
        format=raw.source.format,
        labels=_digest(recording.labels),
        counts=dict(counts),
        characteristics=characteristics(raw.source, staging.reading),
        deidentification=tuple(methods(staging.reading)),
        added=datetime.now(UTC).isoformat(timespec="seconds"),
        label_origin=""
        if raw.labels is None and raw.label_origin == "reference"
        else raw.label_origin,
    )


def _usable_labels(recording: Recording, beats: NDArray[np.int64]) -> Counter[str]:
    """How many beats of each class are labelled inside the signal, in the annotated part."""
    labels = [
        label
        for label in annotated_part(recording, beats).labels or ()
        if 0 <= label.sample < recording.length
    ]
    return Counter(
        beat_class.name for label in labels if (beat_class := classify(label.symbol)) is not None
    )
