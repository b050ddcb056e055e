"""Finds the recordings in folders and in RECORDS files."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.bounded import read_bounded
from ecgfl_adapters.companions import (
    RECORDS,
    absence,
    is_text_of_a_link,
    leads_out,
    link_bounds,
    link_target,
    links_within,
    real_path,
)
from ecgfl_adapters.errors import AdapterError, FileMissing
from ecgfl_adapters.file_access import is_accessible, is_special
from ecgfl_adapters.label_origin import is_prediction
from ecgfl_adapters.registry import all_extras, recognised_by, recording_suffixes

LARGEST_RECORDS = 1 << 21
"""Largest size of a RECORDS file in bytes.

PTB-XL lists 43,598 records in 1.2 MB: https://physionet.org/content/ptb-xl/1.0.3/.
"""

MOST_MISSING = 1000
"""Largest number of lines of a RECORDS file that name no file.

With more of them, it is the list of another folder.
"""

_ABOUT = {"ANNOTATORS", "SHA256SUMS.txt", "MD5SUMS", "LICENSE.txt"}
"""Files about a PhysioNet database."""


class Found(NamedTuple):
    """The result of `find_recordings`.

    Parameters
    ----------
    recordings : list of Path
        One path for each recording.
    skipped : list of Path
        Files in folders that no adapter recognises.
    """

    recordings: list[Path]
    skipped: list[Path]


def find_recordings(paths: Iterable[Path], *, follow_links: bool = False) -> Found:
    """Find the recordings among files and in folders.

    Folders are searched with everything below them, except hidden files. A recording that a RECORDS
    file lists is returned even if it is missing, and so is a file that was named itself, so that
    reading it says why. Signal, segment and label files of a recording are left out.

    Parameters
    ----------
    paths : iterable of Path
        Files and folders.
    follow_links : bool
        Also follow links that lead out of a folder; otherwise they are skipped.

    Returns
    -------
    Found
        One path for each recording, in a fixed order, and the skipped files.
    """
    paths = list(paths)
    recordings: dict[Path, None] = {}
    skipped: dict[Path, None] = {}
    for path in paths:
        within = path / RECORDS if os.path.isdir(path) else path  # noqa: PTH112
        with links_within(link_bounds(within, paths, follow_links=follow_links)):
            if not is_accessible(path):
                recordings[path] = None
            elif path.name == RECORDS and path.is_file():
                listed, outside = _listed(path)
                recordings |= dict.fromkeys(listed)
                skipped |= dict.fromkeys(outside)
            elif path.is_dir():
                result = _find_below(path)
                recordings |= dict.fromkeys(result.recordings)
                skipped |= dict.fromkeys(result.skipped)
            elif not _belongs_to_a_recording(path):
                recordings[main_file_of(path)] = None
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
        target = recordings if recognised_by(file) is not None else skipped
        target[main_file_of(file)] = None
    return Found(list(recordings), list(skipped))


def why_skipped(path: Path, named: Iterable[Path] = (), *, follow_links: bool = False) -> str:
    """Return why `find_recordings` skips a file or folder, and how to fix that.

    Parameters
    ----------
    path : Path
        The file or folder.
    named, follow_links
        As for `find_recordings`.
    """
    with links_within(link_bounds(path, named, follow_links=follow_links)):
        absent = absence(path)
    if absent is not None and leads_out_of(path, named, follow_links=follow_links):
        return f"{absent.problem}. {absent.fix}"
    if absent is not None:
        return absent.problem
    if path.is_dir():
        return (
            f"is a symbolic link to the folder {link_target(path)}, which is read under another "
            "name or holds this one"
        )
    return "no adapter reads it"


def leads_out_of(path: Path, named: Iterable[Path], *, follow_links: bool = False) -> bool:
    """Return whether the path is reached by a link out of one of the folders in `named`."""
    with links_within(link_bounds(path, named, follow_links=follow_links)):
        return leads_out(path)


def _listed(records: Path) -> tuple[list[Path], list[Path]]:
    """Return the recordings that a RECORDS file lists, one per line, relative to its folder.

    Other paths are ignored.

    The second list holds the recordings that are reached by links that lead out of the folder.
    """
    try:
        files = files_listed(records)
    except AdapterError:
        return [records], []  # reading it reports the reason
    outside = {file for file in files if os.path.lexists(file) and leads_out(file)}
    return [file for file in files if file not in outside], sorted(outside)


def files_listed(records: Path) -> list[Path]:
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
    """Return the file of the recording that a RECORDS file lists as `path`.

    A file of the listed name takes precedence over a record that is listed without its suffix.
    """
    files = [file for extras in all_extras() if (file := extras.listed_file(path)) is not None]
    return min(files, key=lambda file: file.name.casefold() != path.name.casefold(), default=path)


class _Below(NamedTuple):
    """The content of a folder.

    Parameters
    ----------
    files : list of Path
        The files.
    special : list of Path
        Pipes, sockets, devices, and links that are not followed.
    closed : list of Path
        Folders that this user may not list.
    """

    files: list[Path]
    special: list[Path]
    closed: list[Path]


def _files_below(folder: Path) -> _Below:
    """List everything below a folder, then the targets of links in it.

    Each folder is listed once.
    """
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
                    content = sorted(
                        (entry.name, entry.is_symlink())
                        for entry in entries
                        if not entry.name.startswith(".")
                    )
            except OSError:
                below.closed.append(here)
                continue
            folders = {name: is_link for name, is_link in content if os.path.isdir(here / name)}  # noqa: PTH112
            links += [here / name for name, is_link in folders.items() if is_link]
            waiting += reversed(
                [(here / name, real / name) for name, is_link in folders.items() if not is_link]
            )
            for name, is_link in content:
                if name not in folders:
                    path = here / name
                    leads = (is_link or is_text_of_a_link(path)) and leads_out(path)
                    (below.special if leads or is_special(path) else below.files).append(path)
    return below


def _companions(files: list[Path]) -> set[Path]:
    """Return the signal, segment and label files of the recordings among `files`."""
    companions = {
        companion
        for file in files
        for extras in all_extras()
        for companion in extras.companions(file)
    }
    companions |= {file for file in files if _is_label_file(file)}
    return companions | {file for file in files if _belongs_to_a_recording(file)}


def _is_label_file(path: Path) -> bool:
    return any(extras.is_label_file(path) for extras in all_extras())


def _belongs_to_a_recording(path: Path) -> bool:
    """Return whether `path` is a label file, or a file beside a recording that no adapter reads."""
    if _is_label_file(path):
        return path.is_file()
    is_missing = absence(path) is not None
    if not (path.is_file() or is_missing):
        return False
    if is_missing and path.suffix.lower() in recording_suffixes():
        return False  # a recording without content; reading it says why
    return any(extras.belongs_to_recording(path) for extras in all_extras()) and (
        recognised_by(path) is None
    )


def main_file_of(path: Path) -> Path:
    """Return the file by which the recording of `path` is read.

    It is `path` itself if that file does not exist.
    """
    mains = (extras.main_file(path) for extras in all_extras())
    return next((main for main in mains if main != path and main.is_file()), path)
