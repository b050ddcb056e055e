"""Checks without changes: of files that might be ingested, and of everything that is in the store."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import AdapterError

from ecgfl_cli.errors import of_one_file
from ecgfl_cli.processes import Lost, each_in_a_process
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Finding
from ecgfl_cli.quality.rhythm import rhythm_beats
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.catalogue import Catalogue, RecordRow
from ecgfl_cli.store.reading import Reading
from ecgfl_cli.store.signals import read_signals

Checked = tuple[str, list[Finding] | str]
"""The place, and its findings or why it cannot be read."""


def validate_files(paths: list[Path], reading: Reading, jobs: int) -> Iterator[Checked]:
    for path, found in zip(
        paths, each_in_a_process(partial(_file, reading=reading), paths, jobs), strict=True
    ):
        yield (
            str(path),
            f"{path}: {found.reason}. Export the file again" if isinstance(found, Lost) else found,
        )


def validate_store(
    home: Home, catalogue: Catalogue, reading: Reading, jobs: int
) -> Iterator[Checked]:
    """Read every record again, checksums included, and check it anew."""
    rows = catalogue.rows()
    for row, found in zip(
        rows,
        each_in_a_process(partial(_record, home=home, reading=reading), rows, jobs),
        strict=True,
    ):
        yield (
            row.record,
            f"{home.records / row.record}: {found.reason}. Ingest it again"
            if isinstance(found, Lost)
            else found,
        )


def _file(path: Path, reading: Reading) -> list[Finding] | str:
    try:
        recording = read(path, reading.format, reading.options_for(path))
        return check(recording, rhythm_beats(recording, reading.lead), reading.limits, reading.lead)
    except AdapterError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a fault in one file must not stop the others
        return str(of_one_file(path, error))


def _record(row: RecordRow, home: Home, reading: Reading) -> list[Finding] | str:
    try:
        recording = read_signals(home.records, row.record)
        return check(recording, rhythm_beats(recording, row.lead), reading.limits, row.lead)
    except Exception as error:  # noqa: BLE001 - a fault in one file must not stop the others
        problem = (
            error
            if isinstance(error, AdapterError)
            else of_one_file(home.records / row.record, error)
        )
        return (
            f"{problem} Then ingest the recording again: that repairs what the store holds of it."
        )
