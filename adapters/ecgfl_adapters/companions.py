"""Files that belong together on disk, in any case, and symbolic links.

This includes text files and pointers that stand in for content that was not fetched. The name and
the folder of a record are those of the given path, even if it is a link into a content store
(git-annex, DataLad, DVC), whose files have names and folders of their own. All rules about links
are in this module.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.bounded import first_bytes, read_bounded

FETCH = (
    "Fetch its content (git-annex: `git annex get`, DataLad: `datalad get`, Git LFS: "
    "`git lfs pull`), or correct the link"
)

_LARGEST_POINTER = 1 << 15
"""Largest size in bytes of a pointer; git-annex does not read larger files as pointers:
https://git-annex.branchable.com/internals/pointer_file/.
"""

_LONGEST_TARGET = 1000
"""Largest length of a path in bytes."""

_NO_TARGET = re.compile(r"[\s\x00-\x1f,;#]|//")
"""Characters that do not occur in a link into a store, and occur in most other texts."""

_LFS = b"version https://git-lfs.github.com/spec/"
_ANNEX = b"annex/objects/"


FOLLOW = "Give --follow-links if it is to be read, or name the folder that holds both"

RECORDS = "RECORDS"
"""The list of records in the folder of a PhysioNet database."""

_STORES = ((".git", "annex", "objects"), (".dvc", "cache"))
"""Folders in which git-annex (and DataLad) and DVC store the content of a repository's files."""


class LinkBounds(NamedTuple):
    """The folders in which the targets of links may be.

    Links may also lead into the object store of a repository that contains one of the folders.

    Parameters
    ----------
    folders : tuple of Path, optional
        Real paths; None allows any target.
    """

    folders: tuple[Path, ...] | None

    def hold(self, path: Path) -> bool:
        """Return whether a real path is within the bounds."""
        return self.folders is None or any(
            path.is_relative_to(folder) or _is_in_a_store(path, folder) for folder in self.folders
        )


_ANYWHERE = LinkBounds(None)
_BOUNDS: ContextVar[LinkBounds] = ContextVar("_BOUNDS", default=_ANYWHERE)
"""The bounds for the recording being read. They apply to each of its files, however its name was
found.
"""


def _is_in_a_store(path: Path, folder: Path) -> bool:
    """Return whether `path` is in the object store of the repository that contains `folder`."""
    parts = path.parts
    return any(
        parts[place : place + len(store)] == store and folder.is_relative_to(Path(*parts[:place]))
        for store in _STORES
        for place in range(1, len(parts) - len(store))
    )


def real_path(path: Path) -> Path:
    """Return the path of the content, after following every link.

    A link may also be stored as a text file.
    """
    target = _target_as_text(path)
    try:
        return Path(
            os.path.realpath(path if target is None or not os.path.isfile(target) else target)  # noqa: PTH113
        )
    except (OSError, ValueError):  # not a possible file name
        return path.absolute()


def link_bounds(path: Path, named: Iterable[Path], *, follow_links: bool) -> LinkBounds:
    """Return the bounds for the files of a recording.

    The bounds are the first of the folders (or folders of RECORDS files) in `named` that contains
    the recording. A recording that is itself in `named` may be a link: its bounds are its own
    folder and the folder of the link's target.
    """
    if follow_links:
        return _ANYWHERE
    named = tuple(named)
    root = next((folder for folder in map(folder_of, named) if folder in path.parents), None)
    if root is not None and path not in named:
        return LinkBounds((Path(os.path.realpath(root)),))
    return LinkBounds((Path(os.path.realpath(path.parent)), real_path(path).parent))


def folder_of(named: Path) -> Path:
    """Return the folder to search: that of a RECORDS file, else `named` itself."""
    return named.parent if named.name == RECORDS and os.path.isfile(named) else named  # noqa: PTH113


@contextmanager
def links_within(bounds: LinkBounds) -> Iterator[None]:
    """Refuse links that lead out of the bounds while the block runs."""
    token = _BOUNDS.set(bounds)
    try:
        yield
    finally:
        _BOUNDS.reset(token)


@contextmanager
def links_also_within(named: Path) -> Iterator[None]:
    """Allow links to a file or folder that the user named as well, while the block runs."""
    folders = _BOUNDS.get().folders
    own = Path(os.path.realpath(named)) if os.path.isdir(named) else real_path(named).parent  # noqa: PTH112
    with links_within(_ANYWHERE if folders is None else LinkBounds((*folders, own))):
        yield


def leads_out(path: Path) -> bool:
    """Return whether a path exists and its content lies outside the current bounds.

    The result is False for a link to a folder that contains the bounds, because that is a loop.
    """
    bounds = _BOUNDS.get()
    if bounds.folders is None:
        return False
    real = real_path(path)
    return (
        not bounds.hold(real)
        and os.path.exists(real)  # noqa: PTH110
        and not any(folder.is_relative_to(real) for folder in bounds.folders)
    )


def is_text_of_a_link(path: Path) -> bool:
    """Return whether a file looks like a text file that stands in for a link."""
    return _target_as_text(path) is not None


def is_elsewhere(path: Path) -> bool:
    """Return whether the file being read was named itself and is a link out of its own folder."""
    folders = _BOUNDS.get().folders
    return folders is not None and not LinkBounds(folders[:1]).hold(real_path(path))


class Absence(NamedTuple):
    """The reason why a path has no content, and a fix, worded as in an `AdapterError`."""

    problem: str
    fix: str


def companion(path: Path, name: str) -> Path:
    """Return the file called `name` in the folder of `path`.

    If it does not exist, return the only file whose name differs in case ("R1.DAT" for "r1.dat"),
    or else the requested path.
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
    """Return the file to open for the content of `path`.

    It is `path` itself, even if `path` is a symbolic link. Where links cannot be made, as on many
    Windows disks, git and copying programs write a small file that contains only the target of the
    link. For such a file it is the target, if the target exists.
    """
    target = _target_as_text(path)
    return path if target is None or not os.path.isfile(target) or leads_out(path) else target  # noqa: PTH113


def _target_as_text(path: Path) -> Path | None:
    """Return the target of a text file that stands in for a link; None for any other file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > _LONGEST_TARGET:
            return None
        text = read_bounded(path, _LONGEST_TARGET).decode("utf-8")
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
    """Return why an existing path has no content that may be read; None for every other path.

    Such a path is a broken link, a link that leads out of the bounds (see `links_within`), or a
    pointer in place of the content.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        return _absence_of_target(path, getattr(error, "errno", None))
    if leads_out(path):
        return Absence(
            f"is reached by a link that leads out of its folder, to {real_path(path)}", FOLLOW
        )
    if status.st_size > _LARGEST_POINTER or not stat.S_ISREG(status.st_mode):
        return None
    try:
        start = first_bytes(path, 1000)
    except OSError:
        return None
    if start.startswith(_LFS):
        return Absence("is a Git LFS pointer, not the recording's data", FETCH)
    target_as_text = _target_as_text(path)
    if target_as_text is not None:
        if os.path.isfile(target_as_text):  # noqa: PTH113
            return None
        return Absence(
            "is a text file in place of a broken symbolic link: it contains "
            f"{start.decode()}, which does not exist",
            FETCH,
        )
    if _ANNEX in start.split(b"\n", 1)[0].replace(b"\\", b"/") and b"\0" not in start:
        return Absence("is a git-annex pointer, not the recording's data", FETCH)
    return None


def _absence_of_target(path: Path, code: int | None) -> Absence | None:
    """Return why a link cannot be followed; `code` is the error number of the attempt."""
    target = link_target(path)
    if target is None:
        return None
    if code == errno.ELOOP:
        return Absence(
            f"is a symbolic link to {target}, which leads back to itself", "Correct the link"
        )
    if os.path.lexists(path.parent / target):
        return None
    return Absence(f"is a broken symbolic link: it points to {target}, which does not exist", FETCH)
