"""records/<record>/: the de-identified signals and labels as WFDB files, which any WFDB tool opens."""

import filecmp
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.wfdb.adapter import WfdbAdapter

from ecgfl_cli.files import sync_file, sync_folder

STAGING = ".staging-"
RECORD = re.compile(r"[0-9a-f]{16}")
"""A pseudonym, as `site.keys` makes them."""

TRIES, PAUSE = 50, 0.1
"""How often and after how many seconds a killed run's folder is cleared again: a worker of it may write for a moment longer."""


@contextmanager
def staging_folder(records: Path, known: set[str]) -> Iterator[Path]:
    """A folder of this run's own, beside the records. What a killed run left is cleared away first: its folder, and signals
    that never reached the catalogue; what somebody else put there is left alone. known : the records that did reach it.
    """
    records.mkdir(parents=True, exist_ok=True)
    for folder in records.iterdir():
        ours = folder.name.startswith(STAGING) or (
            RECORD.fullmatch(folder.name) and folder.name not in known
        )
        if ours and folder.is_dir() and not folder.is_symlink():
            _clear_away(folder)
    folder = Path(tempfile.mkdtemp(prefix=STAGING, dir=records))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _clear_away(folder: Path) -> None:
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(PAUSE)
    shutil.rmtree(folder)


def stage_signals(folder: Path, recording: Recording) -> Path:
    """Write a recording into a new folder in the run's own; `commit_signals` makes it count."""
    staged = Path(tempfile.mkdtemp(dir=folder))
    for file in WfdbAdapter().write(recording, staged):
        sync_file(file)
    return staged


def holds(records: Path, record: str, staged: Path) -> bool:
    """Whether the store has these very files already, undamaged."""
    names = [file.name for file in staged.iterdir()]
    return len(filecmp.cmpfiles(records / record, staged, names, shallow=False)[0]) == len(names)


def commit_signals(records: Path, staged: Path, record: str) -> None:
    """Move staged files to their final place. A record's name stands for its signal: only labels can differ from what is there,
    or damage, so that the files may be replaced one by one."""
    place = records / record
    if not place.exists():
        staged.replace(place)
    else:
        names = {file.name for file in staged.iterdir()}
        for name in names:
            (staged / name).replace(place / name)
        for file in place.iterdir():
            if file.name not in names:
                file.unlink()
        staged.rmdir()
    sync_folder(records)


def remove_signals(records: Path, record: str) -> None:
    shutil.rmtree(records / record, ignore_errors=not (records / record).exists())


def read_signals(records: Path, record: str) -> Recording:
    """A recording of the store, with every channel: leads were chosen when it was ingested, and ECG1 is what one is called whose
    name says nothing to others. Raises `AdapterError` when its files are damaged."""
    return WfdbAdapter().read(records / record / f"{record}.hea", ReadOptions(ecg_channels=("*",)))
