"""Checks without changes: of files that might be ingested, and of everything that is in the store."""

from collections.abc import Iterator
from pathlib import Path

from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import LIBRARY_ERRORS, AdapterError
from ecgfl_adapters.protocol import ReadOptions

from ecgfl_cli.errors import EcgflError
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Finding
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.catalogue import Catalogue
from ecgfl_cli.store.ingest import rhythm_beats
from ecgfl_cli.store.signals import read_signals

FAILURES: tuple[type[Exception], ...] = (AdapterError, EcgflError, *LIBRARY_ERRORS)

Checked = tuple[str, list[Finding] | str]
"""The place, and its findings or why it cannot be read."""


def validate_files(
    paths: list[Path], file_format: str, options: ReadOptions, lead_name: str | None, limits: Limits
) -> Iterator[Checked]:
    for path in paths:
        try:
            recording = read(path, file_format, options)
            yield str(path), check(recording, rhythm_beats(recording, lead_name), limits)
        except FAILURES as error:
            yield str(path), str(error)


def validate_store(home: Home, catalogue: Catalogue, limits: Limits) -> Iterator[Checked]:
    """Read every record again, checksums included, and check it anew."""
    for row in catalogue.rows():
        try:
            recording = read_signals(home.records, row.record)
            yield row.record, check(recording, rhythm_beats(recording, row.lead), limits)
        except FAILURES as error:
            yield row.record, str(error)
