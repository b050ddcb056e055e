"""Reads a recording with the adapter of its format.

Format libraries are loaded only when a file is read.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from ecgfl_adapters.bounded import check_stored
from ecgfl_adapters.companions import (
    RECORDS,
    folder_of,
    is_elsewhere,
    link_bounds,
    links_within,
    real_path,
)
from ecgfl_adapters.errors import (
    AdapterError,
    FileMissing,
    FileUnreadable,
    FormatUnknown,
    LabelsUnreadable,
    RateUnknown,
    changed_meanwhile,
)
from ecgfl_adapters.file_access import check_accessible
from ecgfl_adapters.protocol import Adapter, ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.registry import (
    all_extras,
    extras_of,
    installed,
    recognised_by,
    recording_suffixes,
)
from ecgfl_adapters.search import files_listed
from ecgfl_adapters.timeline import MAX_RATE_DIFFERENCE

LAST_SAMPLE = 2**31 - 1
"""Largest sample number of a label, because WFDB counts with 32 bits; it is 99 days at 250 Hz."""


def adapter_for(path: Path, format: str = "auto") -> Adapter:
    """Return the adapter for a file.

    Parameters
    ----------
    path : Path
        The file.
    format : str
        Name of an adapter, or "auto" for the first one that recognises the file.

    Raises
    ------
    FileMissing
        If there is no such file, or it cannot be opened.
    FormatUnknown
        If there is no such adapter, or none recognises the file.
    """
    known = installed()
    check_accessible(path)
    if path.name == RECORDS and os.path.isfile(path):  # noqa: PTH113
        files_listed(path)
    if format != "auto":
        if format in known.adapters:
            return known.adapters[format]
        why = f" ({known.broken[format]})" if format in known.broken else ""
        raise FormatUnknown(
            path,
            f"no adapter is named {format!r}{why}",
            f"Give --input-format auto or one of {', '.join(known.adapters)}",
        )
    adapter = recognised_by(path)
    if adapter is not None:
        return adapter
    mains = [main for extras in all_extras() if (main := extras.main_file(path)) != path]
    absent = f"there is no {mains[0].name} beside it" if mains else ""
    if not os.path.lexists(path):
        raise FileMissing(
            path, "does not exist", "Check the path" + (f"; {absent}" if absent else "")
        )
    kind = "is a folder" if path.is_dir() else "no adapter recognises the file"
    kind += f" ({absent})" if absent else ""
    raise FormatUnknown(
        path,
        kind,
        f"Give a recording, or its format with --input-format {'|'.join(known.adapters)}",
    )


def read(path: Path, format: str = "auto", options: ReadOptions | None = None) -> Recording:
    """Read one recording in any registered format.

    Parameters
    ----------
    path : Path
        The file by which the recording is known; for WFDB also its name without a suffix.
    format : str
        Name of an adapter, or "auto" for the first one that recognises the file.
    options : ReadOptions, optional
        What the user knows better than the file.

    Returns
    -------
    Recording
        The leads in millivolts, and the labels.

    Raises
    ------
    AdapterError
        If the recording cannot be used, whatever the format's library raised.
    """
    options = options or ReadOptions()
    with links_within(link_bounds(path, options.named, follow_links=options.follow_links)):
        return _read(path, format, options)


def _read(path: Path, format: str, options: ReadOptions) -> Recording:
    adapter = adapter_for(path, format)
    before = _state_of(path, adapter)
    try:
        if os.path.isfile(path):  # noqa: PTH113
            check_stored(path)
        recording = adapter.read(path, options)
        if _state_of(path, adapter) != before:
            raise changed_meanwhile(path)
        _check_rate(path, recording, options)
        _check_labels(path, recording)
        return recording
    except AdapterError as error:
        if not isinstance(error, FileMissing) and is_elsewhere(path):
            raise _without_content(path, error) from None
        raise error if _state_of(path, adapter) == before else changed_meanwhile(path) from error
    except Exception as error:
        if is_elsewhere(path):
            raise _without_content(path, FileUnreadable(path, "", "")) from None
        raise FileUnreadable(
            path,
            f"the {adapter.name} reader failed with {type(error).__name__}: {error}",
            "Check that the file opens in its own software, and export it again",
        ) from error


def _without_content(path: Path, error: AdapterError) -> AdapterError:
    """Return an error that quotes nothing from the file.

    The person who made the link may not be allowed to read the file.
    """
    problem = (
        "cannot be used; the reason is not shown, because this is a link to a file in another "
        "folder"
    )
    return type(error)(
        path,
        problem,
        f"Name the file itself to see the reason ({real_path(path)}), or give --follow-links",
    )


def _check_rate(path: Path, recording: Recording, options: ReadOptions) -> None:
    """Raise `RateUnknown` if the rate in the options differs from the one of the file."""
    given = options.fs
    if given is not None and abs(recording.fs - given) > MAX_RATE_DIFFERENCE * given:
        raise RateUnknown(
            path,
            f"the file states a rate of {recording.fs:g} Hz, but --fs gives {given:g} Hz",
            "Read it without --fs; if the file is wrong, export it again at the recorder's true "
            "rate",
        )


def _check_labels(path: Path, recording: Recording) -> None:
    for label in (recording.labels or ())[:1] + (recording.labels or ())[-1:]:
        if not 0 <= label.sample <= LAST_SAMPLE:
            raise LabelsUnreadable(
                path,
                f"a label is at sample {label.sample}, not between 0 and {LAST_SAMPLE}",
                "Export the labels again, or leave them out with --labels none",
            )


def _state_of(path: Path, adapter: Adapter) -> list[tuple[str, int, int]]:
    """Return size and modification time of each file of a recording whose name is known."""
    state = []
    for file in (path, *sorted(extras_of(adapter).companions(path))):
        try:
            status = file.stat()
        except (OSError, ValueError):
            continue
        state.append((file.name, status.st_size, status.st_mtime_ns))
    return state


def record_stem(path: Path) -> Path:
    """Return the path without a recording's suffixes: "a/rec" for "a/rec.csv.gz" and "a/rec"."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        path = path.with_suffix("")
        suffix = path.suffix.lower()
    is_suffix = suffix in recording_suffixes() or os.path.isfile(path)  # noqa: PTH113 - any name
    return path.with_suffix("") if suffix and is_suffix else path


def subfolder(path: Path, named: Iterable[Path]) -> Path:
    """Return the folder of a recording, relative to the folder in `named` that contains it.

    It is the first of the folders (or of the folders of RECORDS files) that does, and `Path()` for
    a recording that was named itself.
    """
    root = next((folder for folder in map(folder_of, named) if folder in path.parents), path.parent)
    return path.parent.relative_to(root)
