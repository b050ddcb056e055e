"""Finding the adapter for a file, and the recordings in a folder. Format libraries are loaded only when a file is read."""

import logging
import os
import stat
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.bounded import check_stored, read_bounded
from ecgfl_adapters.companions import (
    RECORDS,
    absence,
    companion,
    folder_of,
    is_elsewhere,
    is_text_of_a_link,
    leads_out,
    link_bounds,
    link_target,
    links_within,
    real_path,
)
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

LARGEST_RECORDS = 1 << 21
"""Largest size of a RECORDS file in bytes. PTB-XL lists 43,598 records in 1.2 MB: https://physionet.org/content/ptb-xl/1.0.3/."""

MOST_MISSING = 1000
"""Largest number of lines of a RECORDS file that name no file. With more of them, it is the list of another folder."""

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
    if path.name == RECORDS and os.path.isfile(path):  # noqa: PTH113
        _files_listed(path)
    if format != "auto":
        if format in known.adapters:
            return known.adapters[format]
        why = f" ({known.broken[format]})" if format in known.broken else ""
        raise FormatUnknown(
            path,
            f"no adapter is named {format!r}{why}",
            f"Give --input-format auto or one of {', '.join(known.adapters)}",
        )
    found = _recognised_by(path)
    if found is not None:
        return found
    if not os.path.lexists(path):
        raise FileMissing(
            path, "does not exist", "Check the path; a WFDB record is named by its .hea file"
        )
    kind = "is a folder" if path.is_dir() else "no adapter recognises the file"
    kind += (
        f" (there is no {path.with_suffix('.hea').name} beside it)"
        if path.suffix.lower() == ".dat"
        else ""
    )
    raise FormatUnknown(
        path,
        kind,
        f"Give a recording, or its format with --input-format {'|'.join(known.adapters)}",
    )


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
    except (FileNotFoundError, NotADirectoryError):
        return  # it may be a record that is named without a suffix
    except PermissionError as error:
        raise FileMissing(
            path,
            f"cannot be opened ({error.strerror})",
            "Give the user that runs ecgfl the right to read it",
        ) from error
    except (OSError, ValueError) as error:
        problem = f"cannot be opened ({getattr(error, 'strerror', None) or error})"
        raise FileMissing(
            path, problem, "Copy the file to a local disk, under a short name"
        ) from error
    if _is_special(path):
        raise FormatUnknown(
            path,
            "is a pipe, a socket or a device, not a file",
            "Copy what it delivers into a file, and give that",
        )


def read(path: Path, format: str = "auto", options: ReadOptions | None = None) -> Recording:
    """Read one recording in any format. Raises `AdapterError`, whatever the format's library may raise."""
    options = options or ReadOptions()
    with links_within(link_bounds(path, options.named, follow_links=options.follow_links)):
        return _read(path, format, options)


def _read(path: Path, format: str, options: ReadOptions) -> Recording:
    adapter = adapter_for(path, format)
    before = _state_of(path)
    try:
        if os.path.isfile(path):  # noqa: PTH113
            check_stored(path)
        recording = adapter.read(path, options)
        if _state_of(path) != before:
            raise changed_meanwhile(path)
        _check_rate(path, recording, options)
        _check_labels(path, recording)
        return recording
    except AdapterError as error:
        if not isinstance(error, FileMissing) and is_elsewhere(path):
            raise _without_content(path, error) from None
        raise error if _state_of(path) == before else changed_meanwhile(path) from error
    except LIBRARY_ERRORS as error:
        if is_elsewhere(path):
            raise _without_content(path, FileUnreadable(path, "", "")) from None
        raise FileUnreadable(
            path,
            f"the {adapter.name} reader failed with {type(error).__name__}: {error}",
            "Check that the file opens in its own software, and export it again",
        ) from error


def _without_content(path: Path, error: AdapterError) -> AdapterError:
    """Return an error that quotes nothing from the file, because the person who made the link may not be allowed to read it."""
    problem = "cannot be used; the reason is not shown, because this is a link to a file in another folder"
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
    from ecgfl_adapters.wfdb.header import referenced_files

    beside = (
        [companion(path, name) for name in referenced_files(path)]
        if path.suffix.lower() == ".hea"
        else []
    )
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
    return (
        path.with_suffix("") if suffix and (suffix in _SUFFIXES or os.path.isfile(path)) else path  # noqa: PTH113
    )


def find_recordings(paths: Iterable[Path], *, follow_links: bool = False) -> Found:
    """One path for each recording among `paths`, files and folders, in a fixed order and each once.

    Folders are searched with all that is below them, without hidden files. What a PhysioNet database's RECORDS file lists belongs
    to them, so that reading says which of it is missing. A file named outright is kept even if it is unknown or
    does not exist, so that reading it says why; signal, segment and label files of a recording are left out.

    follow_links : also follow links that lead out of a folder; otherwise they are among the skipped paths.
    """
    paths = list(paths)
    recordings: dict[Path, None] = {}
    skipped: dict[Path, None] = {}
    for path in paths:
        within = path / RECORDS if os.path.isdir(path) else path  # noqa: PTH112
        with links_within(link_bounds(within, paths, follow_links=follow_links)):
            if not _is_open_to_us(path):
                recordings[path] = None
            elif path.name == RECORDS and path.is_file():
                listed, outside = _listed(path)
                recordings |= dict.fromkeys(listed)
                skipped |= dict.fromkeys(outside)
            elif path.is_dir():
                found = _find_below(path)
                recordings |= dict.fromkeys(found.recordings)
                skipped |= dict.fromkeys(found.skipped)
            elif not _belongs_to_a_record(path):
                recordings[_header_of(path)] = None
    return Found(list(recordings), [path for path in skipped if path not in recordings])


def _find_below(folder: Path) -> Found:
    """Return the recordings below a folder."""
    files, special, closed = _files_below(folder)
    recordings = dict.fromkeys(closed)
    skipped = dict.fromkeys(special)
    companions = _companions(files)
    for file in files:
        if file in companions or file.name in _ABOUT or is_prediction(file):
            continue
        if file.name == RECORDS:
            listed, outside = _listed(file)
            recordings |= dict.fromkeys(listed)
            skipped |= dict.fromkeys(outside)
            continue
        target = recordings if _recognised_by(file) is not None else skipped
        target[_header_of(file)] = None
    return Found(list(recordings), list(skipped))


def subfolder(path: Path, named: Iterable[Path]) -> Path:
    """Return the folder of a recording, relative to the first of the folders (or RECORDS files) in `named` that holds it.

    It is `Path()` for a recording that was named itself.
    """
    root = next((folder for folder in map(folder_of, named) if folder in path.parents), path.parent)
    return path.parent.relative_to(root)


def why_skipped(path: Path, named: Iterable[Path] = (), *, follow_links: bool = False) -> str:
    """Return why `find_recordings` skips a file or folder, and how to fix that.

    named, follow_links : as for `find_recordings`.
    """
    with links_within(link_bounds(path, named, follow_links=follow_links)):
        absent = absence(path)
    if absent is not None and leads_out_of(path, named, follow_links=follow_links):
        return f"{absent.problem}. {absent.fix}"
    if absent is not None:
        return absent.problem
    if path.is_dir():
        return f"is a symbolic link to the folder {link_target(path)}, which is read under another name or holds this one"
    return "no adapter reads it"


def leads_out_of(path: Path, named: Iterable[Path], *, follow_links: bool = False) -> bool:
    """Whether a path below one of the folders in `named` is reached by a link that leads out of that folder."""
    with links_within(link_bounds(path, named, follow_links=follow_links)):
        return leads_out(path)


def _listed(records: Path) -> tuple[list[Path], list[Path]]:
    """Return the recordings that a RECORDS file lists, one per line, relative to its folder. Other paths are ignored.

    The second list holds the recordings that are reached by links that lead out of the folder.
    """
    try:
        files = _files_listed(records)
    except AdapterError:
        return [records], []  # reading it reports the reason
    outside = {file for file in files if os.path.lexists(file) and leads_out(file)}
    return [file for file in files if file not in outside], sorted(outside)


def _files_listed(records: Path) -> list[Path]:
    """Return the file of each recording that a RECORDS file lists. Raises `FileMissing`."""
    fix = "Name the recordings, or a folder of them without its RECORDS file"
    try:
        lines = dict.fromkeys(
            read_bounded(records, LARGEST_RECORDS).decode("utf-8", errors="replace").split()
        )
    except OSError as error:
        raise FileMissing(records, f"cannot be read ({error.strerror})", fix) from error
    files, missing = list[Path](), 0
    for line in lines:
        if ".." in line or ":" in line or "\\" in line or line[0] == "/":
            continue
        file = _listed_file(records.parent / line)
        files.append(file)
        missing += not os.path.lexists(file)
        if missing > MOST_MISSING:
            raise FileMissing(
                records, f"more than {MOST_MISSING} of its {len(lines)} records are not there", fix
            )
    return files


def _listed_file(path: Path) -> Path:
    from ecgfl_adapters.wfdb.header import header_path

    if path.suffix.lower() in {".edf", ".bdf"}:
        return companion(path, path.name)
    return header_path(path.with_name(f"{path.name}.hea"))


@cache
def _installed() -> Installed:
    working: dict[str, Adapter] = {}
    broken: dict[str, str] = {}
    points = sorted(
        entry_points(group=GROUP),
        key=lambda point: (_LAST.index(point.name) if point.name in _LAST else -1, point.name),
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
                broken[point.name] = (
                    f"{point.value} is no adapter: it lacks name, recognises, read or write"
                )
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

    special : pipes, sockets, devices, and links that are not followed. closed : folders that this user may not list.
    """

    files: list[Path]
    special: list[Path]
    closed: list[Path]


def _files_below(folder: Path) -> _Below:
    """List everything below a folder, then the targets of links in it. Each folder is listed once."""
    below = _Below([], [], [])
    root = real_path(folder)
    seen: set[Path] = set()
    links = [folder]
    for link in links:
        real = real_path(link)
        if link != folder and (real in seen or root.is_relative_to(real) or leads_out(link)):
            below.special.append(link)
            continue
        waiting = [(link, real)]
        while waiting:
            here, real = waiting.pop()
            if real in seen:
                continue
            seen.add(real)
            try:
                with os.scandir(here) as entries:
                    held = sorted(
                        (each.name, each.is_symlink())
                        for each in entries
                        if not each.name.startswith(".")
                    )
            except OSError:
                below.closed.append(here)
                continue
            folders = {name: is_link for name, is_link in held if os.path.isdir(here / name)}  # noqa: PTH112
            links += [here / name for name, is_link in folders.items() if is_link]
            waiting += reversed(
                [(here / name, real / name) for name, is_link in folders.items() if not is_link]
            )
            for name, is_link in held:
                if name not in folders:
                    path = here / name
                    leads = (is_link or is_text_of_a_link(path)) and leads_out(path)
                    (below.special if leads or _is_special(path) else below.files).append(path)
    return below


def _companions(files: list[Path]) -> set[Path]:
    """Signal files, segment headers and label files of the recordings among `files`."""
    from ecgfl_adapters.tables.adapter import is_label_file
    from ecgfl_adapters.wfdb.header import referenced_files

    headers = {file for file in files if file.suffix.lower() == ".hea"}
    companions = {
        companion(header, name) for header in headers for name in referenced_files(header)
    }
    companions |= {file for file in files if is_label_file(file)}
    return companions | {file for file in files if _belongs_to_a_record(file)}


def _belongs_to_a_record(path: Path) -> bool:
    """Whether `path` is an annotation file beside its WFDB header, or a label file."""
    from ecgfl_adapters.labels import is_annotator_edf
    from ecgfl_adapters.tables.adapter import CsvAdapter, is_label_file

    if is_label_file(path) or is_annotator_edf(path):
        return path.is_file()
    known = {".hea", ".dat", ".edf", ".bdf"}
    if path.suffix.lower() in known | {""} or not (path.is_file() or absence(path) is not None):
        return False
    return companion(path, f"{path.stem}.hea").is_file() and not CsvAdapter().recognises(path)


def _header_of(path: Path) -> Path:
    """The .hea file where `path` names a WFDB record in another way."""
    from ecgfl_adapters.wfdb.header import header_path

    header = header_path(path)
    names_a_record = path.suffix.lower() == ".dat" or not os.path.lexists(path)
    return header if names_a_record and header.is_file() else path
