"""Files that belong together on disk: companions in any case, symbolic links, and stand-ins for content that was not fetched.

A record's name and folder are those of the path that was given, also where that is a link into a content store (git-annex,
DataLad, DVC), whose files have names and folders of their own. Every rule about links belongs here.
"""

import errno
import os
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

FETCH = "Fetch its content (git-annex: `git annex get`, DataLad: `datalad get`, Git LFS: `git lfs pull`), or correct the link"

_LARGEST_POINTER = 1 << 15
"""Bytes; git-annex reads no larger file as a pointer: https://git-annex.branchable.com/internals/pointer_file/."""

_LONGEST_TARGET = 1000
"""Bytes."""

_NO_TARGET = re.compile(r"[\s\x00-\x1f,;#]|//")
"""What a link into a store does not hold, and a text of another kind mostly does."""

_LFS = b"version https://git-lfs.github.com/spec/"
_ANNEX = b"annex/objects/"


class Absence(NamedTuple):
    """Why there is no content at a path, and what can be done about it, in the words of an `AdapterError`."""

    problem: str
    fix: str


def companion(path: Path, name: str) -> Path:
    """The file called `name` in the folder of `path`.

    Where there is none, the only one that differs in upper and lower case ("R1.DAT" for "r1.dat"), else the path asked for.
    """
    exact = path.with_name(name)
    if os.path.lexists(exact):
        return exact
    try:
        changed = exact.parent.stat().st_mtime_ns
        others = _names_in(exact.parent, changed).get(name.casefold(), [])
    except OSError:
        return exact
    return exact.with_name(others[0]) if len(others) == 1 else exact


@lru_cache(maxsize=16)
def _names_in(folder: Path, changed: int) -> dict[str, list[str]]:  # noqa: ARG001  (a changed folder is listed again)
    names: dict[str, list[str]] = {}
    for file in folder.iterdir():
        names.setdefault(file.name.casefold(), []).append(file.name)
    return names


def content_of(path: Path) -> Path:
    """The file to open for the content of `path`.

    That is `path` itself, also where it is a symbolic link. Where links cannot be made, as on many Windows disks, git and copying
    programs write a small file in a link's place that holds nothing but the link's target; then it is the target, if it exists.
    """
    target = _target_as_text(path)
    return path if target is None or not target.is_file() else target


def _target_as_text(path: Path) -> Path | None:
    """Return the target of a text file that stands in for a link; None for any other file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > _LONGEST_TARGET:
            return None
        text = path.read_bytes().decode("utf-8")
    except (OSError, ValueError):
        return None
    if "/" not in text or text.startswith("/") or _NO_TARGET.search(text):
        return None
    return path.parent / text


def link_target(path: Path) -> Path | None:
    """Return the target of a symbolic link; None if the path is not a link or is not accessible."""
    try:
        return path.readlink()
    except (OSError, ValueError):
        return None


def absence(path: Path) -> Absence | None:
    """Why a path that is there has no content: a broken link, or a pointer in the content's place. None for any other path."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        target = link_target(path)
        if target is None:
            return None
        if getattr(error, "errno", None) == errno.ELOOP:
            return Absence(f"is a symbolic link to {target}, which leads back to itself", "Correct the link")
        if os.path.lexists(path.parent / target):
            return None
        return Absence(f"is a broken symbolic link: it points to {target}, which does not exist", FETCH)
    if status.st_size > _LARGEST_POINTER or not stat.S_ISREG(status.st_mode):
        return None
    try:
        with path.open("rb") as file:
            start = file.read(1000)
    except OSError:
        return None
    if start.startswith(_LFS):
        return Absence("is a Git LFS pointer, not the recording's data", FETCH)
    target_as_text = _target_as_text(path)
    if target_as_text is not None and target_as_text.is_file():
        return None
    if target_as_text is not None:
        return Absence(f"is a text in place of a broken symbolic link: it holds {start.decode()}, which does not exist", FETCH)
    if _ANNEX in start.split(b"\n", 1)[0].replace(b"\\", b"/") and b"\0" not in start:
        return Absence("is a git-annex pointer, not the recording's data", FETCH)
    return None
