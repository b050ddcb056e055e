"""records/<record>/: the de-identified signals and labels as WFDB files."""

import filecmp
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import stamina
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.wfdb.adapter import WfdbAdapter

from ecgfl_cli.files import sync_file, sync_folder

STAGING = ".staging-"
"""Prefix of the folder in which a run stages its files."""

RECORD = re.compile(r"[0-9a-f]{16}")
"""A pseudonym, as `site.keys` makes them."""

ATTEMPTS = 50
PAUSE = 0.1
"""How often, and after how many seconds, the removal of a killed run's folder is tried again. A
worker of that run may write for a moment longer."""

logging.getLogger("stamina").setLevel(logging.ERROR)  # trying again is not worth a warning


@contextmanager
def staging_folder(records: Path, known: set[str]) -> Iterator[Path]:
    """Create a folder beside the records in which this run stages its files.

    What a killed run left is removed first: its folder, and signals that are not in the catalogue.
    Other files and folders are left alone.

    Parameters
    ----------
    records : Path
        Folder of the records; created if it is missing.
    known : set of str
        Pseudonyms of the records in the catalogue.
    """
    records.mkdir(parents=True, exist_ok=True)
    for folder in records.iterdir():
        is_left_over = folder.name.startswith(STAGING) or (
            RECORD.fullmatch(folder.name) and folder.name not in known
        )
        if is_left_over and folder.is_dir() and not folder.is_symlink():
            _remove(folder)
    folder = Path(tempfile.mkdtemp(prefix=STAGING, dir=records))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@stamina.retry(
    on=OSError,
    attempts=ATTEMPTS,
    timeout=None,
    wait_initial=PAUSE,
    wait_max=PAUSE,
    wait_jitter=0.0,
)
def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def stage_signals(folder: Path, recording: Recording) -> Path:
    """Write a recording into a new folder in the run's staging folder, and return it."""
    staged = Path(tempfile.mkdtemp(dir=folder))
    for file in WfdbAdapter().write(recording, staged):
        sync_file(file)
    return staged


def holds(records: Path, record: str, staged: Path) -> bool:
    """Whether the store has the same files for a record."""
    names = [file.name for file in staged.iterdir()]
    same, _, _ = filecmp.cmpfiles(records / record, staged, names, shallow=False)
    return len(same) == len(names)


def commit_signals(records: Path, staged: Path, record: str) -> None:
    """Move staged files to their final place.

    The pseudonym of a record is made from its signal. Files that are already there can differ only
    in labels or by damage, so they may be replaced one by one.
    """
    folder = records / record
    if not folder.exists():
        staged.replace(folder)
    else:
        names = {file.name for file in staged.iterdir()}
        for name in names:
            (staged / name).replace(folder / name)
        for file in folder.iterdir():
            if file.name not in names:
                file.unlink()
        staged.rmdir()
    sync_folder(records)


def remove_signals(records: Path, record: str) -> None:
    """Remove the files of a record, if there are any."""
    shutil.rmtree(records / record, ignore_errors=not (records / record).exists())


def read_signals(records: Path, record: str) -> Recording:
    """Read a record of the store with every channel, because the leads were chosen by `ingest`.

    Raises
    ------
    AdapterError
        Its files are damaged.
    """
    return WfdbAdapter().read(records / record / f"{record}.hea", ReadOptions(ecg_channels=("*",)))
