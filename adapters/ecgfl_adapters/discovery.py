"""Finding the adapter for a file, and the recordings in a folder. Format libraries are loaded only when a file is read."""

import logging
import os
import stat
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.companions import absence, companion, link_target
from ecgfl_adapters.errors import (
    LIBRARY_ERRORS,
    AdapterError,
    FileMissing,
    FileUnreadable,
    FormatUnknown,
    LabelsUnreadable,
    RateUnknown,
    changed_meanwhile,
)
from ecgfl_adapters.label_origin import is_prediction
from ecgfl_adapters.protocol import Adapter, ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.timeline import MAX_RATE_DIFFERENCE

GROUP = "ecgfl.adapters"
_LAST = ("wfdb", "edf", "csv")
"""Asked last, in this order: an adapter that a site installed for its own files goes first, plain text comes last."""

RECORDS = "RECORDS"
"""The list of records in the folder of a PhysioNet database."""

_SUFFIXES = {".hea", ".dat", ".edf", ".bdf", ".csv", ".tsv", ".txt"}
"""What a recording's file ends in, whether it is there or not. A WFDB record may be named without one, and hold a dot."""

_ABOUT = {"ANNOTATORS", "SHA256SUMS.txt", "MD5SUMS", "LICENSE.txt"}
"""Files about a PhysioNet database."""

LAST_SAMPLE = 2**31 - 1
"""At which a label may stand: WFDB counts with 32 bits. 99 days at 250 Hz."""

_log = logging.getLogger(__name__)


class Installed(NamedTuple):
    """Adapters by name, in the order in which they are asked, and what is wrong with the ones that could not be loaded."""

    adapters: dict[str, Adapter]
    broken: dict[str, str]


class Found(NamedTuple):
    """What `find_recordings` found: one path a recording, and the files in folders that no adapter recognises."""

    recordings: list[Path]
    skipped: list[Path]


def installed() -> Installed:
    """Every adapter registered under the entry-point group `ecgfl.adapters`. One that is broken does not harm the others."""
    return _installed()


def adapters() -> dict[str, Adapter]:
    """Every adapter that works, by name. Broken ones are named in a log warning; see `installed`."""
    return _installed().adapters


def adapter_for(path: Path, format: str = "auto") -> Adapter:
    """The adapter named `format`, or with "auto" the first that recognises `path`.

    Raises `FileMissing` when there is no such file and `FormatUnknown` when there is no such adapter.
    """
    known = _installed()
    _refuse_what_cannot_be_opened(path)
    if format != "auto":
        if format in known.adapters:
            return known.adapters[format]
        why = f" ({known.broken[format]})" if format in known.broken else ""
        raise FormatUnknown(
            path, f"no adapter is named {format!r}{why}", f"Give --input-format auto or one of {', '.join(known.adapters)}"
        )
    found = _recognised_by(path)
    if found is not None:
        return found
    if not os.path.lexists(path):
        raise FileMissing(path, "does not exist", "Check the path; a WFDB record is named by its .hea file")
    kind = "is a folder" if path.is_dir() else "no adapter recognises the file"
    kind += f" (there is no {path.with_suffix('.hea').name} beside it)" if path.suffix.lower() == ".dat" else ""
    raise FormatUnknown(path, kind, f"Give a recording, or its format with --input-format {'|'.join(known.adapters)}")


def _refuse_what_cannot_be_opened(path: Path) -> None:
    """What reading would wait for without an end, what this user may not look into, and a link to nothing."""
    absent = absence(path)
    if absent is not None:
        raise FileMissing(path, absent.problem, absent.fix)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
        elif stat.S_ISREG(mode):
            path.open("rb").close()
    except PermissionError as error:
        raise FileMissing(
            path, f"cannot be opened ({error.strerror})", "Give the user that runs ecgfl the right to read it"
        ) from error
    except (OSError, ValueError):
        return
    if _is_special(path):
        raise FormatUnknown(
            path, "is a pipe, a socket or a device, not a file", "Copy what it delivers into a file, and give that"
        )


def read(path: Path, format: str = "auto", options: ReadOptions | None = None) -> Recording:
    """Read one recording in any format. Raises `AdapterError`, whatever the format's library may raise."""
    adapter = adapter_for(path, format)
    before = _state_of(path)
    try:
        recording = adapter.read(path, options or ReadOptions())
        if _state_of(path) != before:
            raise changed_meanwhile(path)
        _check_rate(path, recording, options)
        _check_labels(path, recording)
        return recording
    except AdapterError as error:
        raise error if _state_of(path) == before else changed_meanwhile(path) from error
    except LIBRARY_ERRORS as error:
        raise FileUnreadable(
            path,
            f"the {adapter.name} reader failed with {type(error).__name__}: {error}",
            "Check that the file opens in its own software, and export it again",
        ) from error


def _check_rate(path: Path, recording: Recording, options: ReadOptions | None) -> None:
    """Raise `RateUnknown` if the rate in the options differs from the one of the file."""
    given = options.fs if options is not None else None
    if given is not None and abs(recording.fs - given) > MAX_RATE_DIFFERENCE * given:
        raise RateUnknown(
            path,
            f"the file states a rate of {recording.fs:g} Hz, but --fs gives {given:g} Hz",
            "Read it without --fs; if the file is wrong, export it again at the recorder's true rate",
        )


def _check_labels(path: Path, recording: Recording) -> None:
    for label in (recording.labels or ())[:1] + (recording.labels or ())[-1:]:
        if not 0 <= label.sample <= LAST_SAMPLE:
            raise LabelsUnreadable(
                path,
                f"a label stands at sample {label.sample}, not between 0 and {LAST_SAMPLE}",
                "Export the labels again, or leave them out with --labels none",
            )


def _state_of(path: Path) -> list[tuple[str, int, int]]:
    """Size and time of change of a recording's files, as far as they are known by their names."""
    from ecgfl_adapters.wfdb_header import referenced_files

    beside = [companion(path, name) for name in referenced_files(path)] if path.suffix.lower() == ".hea" else []
    found = []
    for file in (path, *sorted(beside)):
        try:
            status = file.stat()
        except (OSError, ValueError):
            continue
        found.append((file.name, status.st_size, status.st_mtime_ns))
    return found


def record_stem(path: Path) -> Path:
    """The path without the suffixes of a recording's file: "a/rec.csv.gz" and "a/rec" are "a/rec"."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        path = path.with_suffix("")
        suffix = path.suffix.lower()
    return path.with_suffix("") if suffix and (suffix in _SUFFIXES or path.is_file()) else path


def find_recordings(paths: Iterable[Path]) -> Found:
    """One path for each recording among `paths`, files and folders, in a fixed order and each once.

    Folders are searched with all that is below them, without hidden files. What a PhysioNet database's RECORDS file lists belongs
    to them, so that reading says which of it is missing. A file named outright is kept even if it is unknown or
    does not exist, so that reading it says why; signal, segment and label files of a recording are left out.
    """
    recordings: dict[Path, None] = {}
    skipped: dict[Path, None] = {}
    for path in paths:
        if not _is_open_to_us(path):
            recordings[path] = None
        elif path.name == RECORDS and path.is_file():
            recordings |= dict.fromkeys(_listed(path))
        elif path.is_dir():
            files, special, closed = _files_below(path)
            recordings |= dict.fromkeys(closed)
            skipped |= dict.fromkeys(special)
            companions = _companions(files)
            for file in files:
                if file in companions or file.name in _ABOUT or is_prediction(file):
                    continue
                if file.name == RECORDS:
                    recordings |= dict.fromkeys(_listed(file))
                    continue
                target = recordings if _recognised_by(file) is not None else skipped
                target[_header_of(file)] = None
        elif not _belongs_to_a_record(path):
            recordings[_header_of(path)] = None
    return Found(list(recordings), list(skipped))


def subfolder(path: Path, named: Iterable[Path]) -> Path:
    """Return the folder of a recording, relative to the first of the folders (or RECORDS files) in `named` that holds it.

    It is `Path()` for a recording that was named itself.
    """
    folders = (each.parent if each.name == RECORDS and each.is_file() else each for each in named)
    root = next((folder for folder in folders if folder in path.parents), path.parent)
    return path.parent.relative_to(root)


def why_skipped(path: Path) -> str:
    """Return the reason why `find_recordings` skips a file or folder."""
    absent = absence(path)
    if absent is not None:
        return absent.problem
    if path.is_dir():
        return f"is a symbolic link to the folder {link_target(path)}; links to folders are not followed: name it itself"
    return "no adapter reads it"


def _listed(records: Path) -> list[Path]:
    """The recordings that a RECORDS file lists, one a line, relative to its folder; what points elsewhere is none."""
    try:
        lines = records.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return [records]  # reading it says why
    inside = [line for line in lines if ".." not in line and ":" not in line and "\\" not in line and line[0] != "/"]
    return [_listed_file(records.parent / line) for line in inside]


def _listed_file(path: Path) -> Path:
    from ecgfl_adapters.wfdb_header import header_path

    if path.suffix.lower() in {".edf", ".bdf"}:
        return companion(path, path.name)
    return header_path(path.with_name(f"{path.name}.hea"))


@cache
def _installed() -> Installed:
    working: dict[str, Adapter] = {}
    broken: dict[str, str] = {}
    points = sorted(
        entry_points(group=GROUP), key=lambda point: (_LAST.index(point.name) if point.name in _LAST else -1, point.name)
    )
    for point in points:
        try:
            adapter = point.load()()
        except LIBRARY_ERRORS as error:
            broken[point.name] = f"{point.value} cannot be loaded: {type(error).__name__}: {error}"
        else:
            if isinstance(adapter, Adapter):
                working[point.name] = adapter
            else:
                broken[point.name] = f"{point.value} is no adapter: it lacks name, recognises, read or write"
    for name, problem in broken.items():
        _log.warning("adapter %r is left out: %s", name, problem)
    return Installed(working, broken)


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _is_open_to_us(path: Path) -> bool:
    try:
        _refuse_what_cannot_be_opened(path)
    except AdapterError:
        return False
    return True


def _recognised_by(path: Path) -> Adapter | None:
    for name, adapter in _installed().adapters.items():
        try:
            if adapter.recognises(path):
                return adapter
        except LIBRARY_ERRORS as error:
            _log.warning("adapter %r failed on %s: %s: %s", name, path, type(error).__name__, error)
    return None


class _Below(NamedTuple):
    """What is below a folder.

    special : pipes, sockets, devices and links to folders. closed : folders that this user may not look into.
    """

    files: list[Path]
    special: list[Path]
    closed: list[Path]


def _files_below(folder: Path) -> _Below:
    found: list[Path] = []
    links: list[Path] = []
    closed: list[Path] = []
    for root, folders, files in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links += [Path(root) / name for name in folders if (Path(root) / name).is_symlink()]
        found += [Path(root) / name for name in sorted(files) if not name.startswith(".")]
    special = [file for file in found if _is_special(file)]
    return _Below([file for file in found if file not in special], special + links, closed)


def _companions(files: list[Path]) -> set[Path]:
    """Signal files, segment headers and label files of the recordings among `files`."""
    from ecgfl_adapters.csv_file import is_label_file
    from ecgfl_adapters.wfdb_header import referenced_files

    headers = {file for file in files if file.suffix.lower() == ".hea"}
    companions = {companion(header, name) for header in headers for name in referenced_files(header)}
    companions |= {file for file in files if is_label_file(file)}
    return companions | {file for file in files if _belongs_to_a_record(file)}


def _belongs_to_a_record(path: Path) -> bool:
    """Whether `path` is an annotation file beside its WFDB header, or a label file."""
    from ecgfl_adapters.csv_file import CsvAdapter, is_label_file
    from ecgfl_adapters.labels import is_annotator_edf

    if is_label_file(path) or is_annotator_edf(path):
        return path.is_file()
    known = {".hea", ".dat", ".edf", ".bdf"}
    if path.suffix.lower() in known | {""} or not (path.is_file() or absence(path) is not None):
        return False
    return companion(path, f"{path.stem}.hea").is_file() and not CsvAdapter().recognises(path)


def _header_of(path: Path) -> Path:
    """The .hea file where `path` names a WFDB record in another way."""
    from ecgfl_adapters.wfdb_header import header_path

    header = header_path(path)
    names_a_record = path.suffix.lower() == ".dat" or not os.path.lexists(path)
    return header if names_a_record and header.is_file() else path
