"""records/<record>/: the de-identified signals and labels as WFDB files, which any WFDB tool opens."""

import shutil
import tempfile
from pathlib import Path

from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.wfdb_record import WfdbAdapter

from ecgfl_cli.files import sync_file

STAGING = ".staging-"


def stage_signals(records: Path, recording: Recording) -> Path:
    """Write a recording beside its final place; `commit_signals` makes it count."""
    records.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=STAGING, dir=records))
    for file in WfdbAdapter().write(recording, staged):
        sync_file(file)
    return staged


def commit_signals(records: Path, staged: Path, record: str) -> None:
    """Move staged files to their final place, instead of what is there."""
    place = records / record
    if place.exists():
        place.replace(records / f"{STAGING}replaced-{record}")
    staged.replace(place)
    remove_signals(records, f"{STAGING}replaced-{record}")


def remove_signals(records: Path, record: str) -> None:
    shutil.rmtree(records / record, ignore_errors=not (records / record).exists())


def read_signals(records: Path, record: str) -> Recording:
    """A recording of the store. Raises `AdapterError` when its files are damaged."""
    return WfdbAdapter().read(records / record / f"{record}.hea", ReadOptions())


def clear_staging(records: Path, known: set[str]) -> None:
    """Remove what a killed ingest left behind: staged files, and signals that never reached the catalogue."""
    if records.is_dir():
        for folder in records.iterdir():
            if folder.name.startswith(STAGING) or folder.name not in known:
                shutil.rmtree(folder)
