"""Check files, or every record of the store, without changing anything."""

from functools import partial
from pathlib import Path

from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import AdapterError

from ecgfl_cli.errors import of_one_file
from ecgfl_cli.processes import Lost, Track, begin_loading, each_in_a_process, untracked
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Finding
from ecgfl_cli.quality.rhythm import rhythm_beats
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.store import WORKER_MODULES
from ecgfl_cli.store.catalogue import RecordRow, open_catalogue
from ecgfl_cli.store.reading import Reading
from ecgfl_cli.store.signals import read_signals

Checked = tuple[str, list[Finding] | str]
"""A file or record, and its findings or the reason why it cannot be read."""


def validate_files(
    recordings: list[Path], reading: Reading, jobs: int = 1, track: Track[Checked] = untracked
) -> list[Checked]:
    """Check files that might be ingested.

    Parameters
    ----------
    recordings
        One path for each recording.
    reading
        How they are read and checked.
    jobs
        Number of processes.
    track
        Shows the progress.

    Returns
    -------
    list of Checked
        The result for each recording, in order.
    """
    begin_loading(WORKER_MODULES)
    results = each_in_a_process(partial(_file, reading=reading), recordings, jobs)
    work = (
        (str(path), _result(result, f"{path}", "Export the file again"))
        for path, result in zip(recordings, results, strict=True)
    )
    return list(track(work, len(recordings)))


def validate_store(
    home: Home, reading: Reading, jobs: int = 1, track: Track[Checked] = untracked
) -> list[Checked]:
    """Read every record of the store, including checksums, and check it again.

    Parameters
    ----------
    home
        The site's home; it is locked meanwhile.
    reading
        How the records are checked.
    jobs
        Number of processes.
    track
        Shows the progress.

    Returns
    -------
    list of Checked
        The result for each record, in the order of the catalogue.

    Raises
    ------
    HomeInUse
        Another ecgfl uses the home.
    """
    begin_loading(WORKER_MODULES)
    with exclusive(home.lock), open_catalogue(home.catalogue) as catalogue:
        rows = catalogue.rows()
        results = each_in_a_process(partial(_record, home=home, reading=reading), rows, jobs)
        work = (
            (row.record, _result(result, f"{home.records / row.record}", "Ingest it again"))
            for row, result in zip(rows, results, strict=True)
        )
        return list(track(work, len(rows)))


def _result(result: list[Finding] | str | Lost, place: str, fix: str) -> list[Finding] | str:
    return f"{place}: {result.reason}. {fix}" if isinstance(result, Lost) else result


def _file(path: Path, reading: Reading) -> list[Finding] | str:
    try:
        recording = read(path, reading.format, reading.options_for(path))
        return check(recording, rhythm_beats(recording, reading.lead), reading.limits, reading.lead)
    except AdapterError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - format libraries raise anything for a damaged file
        return str(of_one_file(path, error))


def _record(row: RecordRow, home: Home, reading: Reading) -> list[Finding] | str:
    try:
        recording = read_signals(home.records, row.record)
        return check(recording, rhythm_beats(recording, row.lead), reading.limits, row.lead)
    except Exception as error:  # noqa: BLE001 - format libraries raise anything for a damaged file
        problem = (
            error
            if isinstance(error, AdapterError)
            else of_one_file(home.records / row.record, error)
        )
        return f"{problem} Then ingest the recording again, which repairs its files in the store."
