"""Check that no other user can change a home or read its keys.

Nothing is checked on Windows, which uses access lists instead of owners and mode bits.
"""

import os
import shlex
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from ecgfl_cli.errors import UnusableInput

if sys.platform != "win32":
    import grp
    import pwd

GROUP_OR_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
ROOT = 0
LOCKS = ("lock", "audit.lock")
LOGS = ("audit.jsonl", "audit.head")
PRIVATE_KEYS = ("keys/node", "keys/secret", "signing.key", "signing.key.new", "ca.key", "root.key")
SERVER_KEY = "server.key"
"""This file may be a link, because a certificate and key of another issuer are often elsewhere."""
STORES = ("models", "records", "beats", "reports")


def require_private(home: Path) -> None:
    """Check the home of a site or a coordinator, and make its locks inaccessible to other users.

    Raises
    ------
    UnusableInput
        Another user owns or can write to the home, a folder above it, or what is directly in the
        home, in its folders of keys or in its stores; others can read a private key; or a key, lock
        or log is a link. The message has the command to run.
    """
    if sys.platform == "win32" or not home.is_dir():
        return
    for folder in _above(home.absolute()):
        _require_parent(folder, home)
    _require_private_folder(home, home)
    for name in ("keys", "sites"):
        if (home / name).is_dir():
            _require_no_link(home / name)
            _require_private_folder(home / name, home)
    for name in (*PRIVATE_KEYS, *LOCKS, *LOGS):
        if os.path.lexists(home / name):
            _require_private_file(home, name)
    if (home / SERVER_KEY).is_file():
        _require_unreadable(home / SERVER_KEY, may_be_roots=True)
    for folder in (home, *(home / name for name in ("keys", "sites", *STORES))):
        if folder.is_dir():
            _require_content(folder, home)


def _require_private_folder(folder: Path, home: Path) -> None:
    _require_own(folder, home)
    _require_unwritable(folder, home)


def _require_private_file(home: Path, name: str) -> None:
    """Check a key, lock or log."""
    path = home / name
    _require_no_link(path)
    if not path.is_file():
        raise UnusableInput(f"{path}: not a regular file", f"Remove it: rm -r {_quoted(path)}")
    _require_own(path, home)
    if name in LOCKS:
        if _mode(path) & 0o077:
            path.chmod(0o600)  # a user who can read a lock file can hold the lock
    elif name in PRIVATE_KEYS:
        _require_unreadable(path)
    else:
        _require_unwritable(path, home)


def _above(home: Path) -> Iterator[Path]:
    """Yield the folders above a home, also those of its real path if it is reached by a link."""
    yield from dict.fromkeys((*home.parents, *home.resolve().parents))


def _require_parent(folder: Path, home: Path) -> None:
    """Refuse a folder in which other users could replace the home.

    With the sticky bit, as in /tmp, they cannot.
    """
    status = folder.stat()
    if (
        status.st_uid not in (ROOT, os.geteuid()) and os.geteuid() != ROOT
    ):  # a container's root works in volumes of others
        raise UnusableInput(
            f"{folder} belongs to {_user(status.st_uid)}, who could replace the home {home} in it",
            f"Move the home into a folder of {_user(os.geteuid())} or root, and name its new "
            "place with --home DIR or ECGFL_HOME",
        )
    writable = status.st_mode & GROUP_OR_OTHERS_WRITE
    if not writable or status.st_mode & stat.S_ISVTX:
        return
    if writable == stat.S_IWGRP and _is_own_group(status.st_gid):
        return
    who = "every user" if writable & stat.S_IWOTH else f"the group {_group(status.st_gid)}"
    bits = "o-w" if writable == stat.S_IWOTH else "go-w"
    me = _user(os.geteuid())
    or_chmod = f"; or, if nobody else needs to write there, run: chmod {bits} {_quoted(folder)}"
    raise UnusableInput(
        f"{folder}: {who} can write there, and could replace the home {home} in it",
        f"Move the home into a folder that only {me} or root can write to, and name its new "
        "place with --home DIR or ECGFL_HOME"
        + (or_chmod if os.geteuid() in (ROOT, status.st_uid) else ""),
    )


def _require_own(path: Path, home: Path) -> None:
    owner = path.stat().st_uid
    if owner != os.geteuid():
        me = _user(os.geteuid())
        fix = (
            f"Run ecgfl as the user that `ecgfl init` was run as, or run: sudo chown -R {me} "
            f"{_quoted(home)}"
        )
        if path.is_symlink():  # which `chown -R` does not follow
            fix = "Put the file or folder itself there instead of the link"
        raise UnusableInput(f"{path} belongs to {_user(owner)}, and ecgfl runs as {me}", fix)


def _require_unwritable(path: Path, home: Path) -> None:
    if _mode(path) & GROUP_OR_OTHERS_WRITE:
        # `chmod -R` does not follow links
        command = (
            f"chmod go-w {_quoted(path.resolve())}"
            if path.is_symlink()
            else f"chmod -R go-w {_quoted(home)}"
        )
        raise UnusableInput(
            f"{path}: other users can write to it",
            f"Run: {command} (if the file system does not store modes, move the home to one that "
            "does)",
        )


def _require_content(folder: Path, home: Path) -> None:
    """Refuse a folder if other users own or can write to something directly in it.

    The check takes 2 microseconds a file.
    """
    with os.scandir(folder) as content:
        for entry in content:
            try:
                status = entry.stat()
            except FileNotFoundError:  # it was removed meanwhile, or is a broken link
                continue
            path = Path(entry.path)
            if status.st_uid not in (ROOT, os.geteuid()):
                _require_own(path, home)
            if status.st_mode & GROUP_OR_OTHERS_WRITE:
                _require_unwritable(path, home)


def _require_unreadable(path: Path, may_be_roots: bool = False) -> None:
    """Refuse a private key that other users own or can read.

    Parameters
    ----------
    path : Path
        The key.
    may_be_roots : bool
        Whether root may own the key and let a group read it, as with Debian's group `ssl-cert` or a
        volume of Kubernetes.
    """
    status = path.stat()
    me = _user(os.geteuid())
    if status.st_uid not in (ROOT, os.geteuid()):
        command = f"chown {me} {_quoted(path)}"
        if path.is_symlink():  # the key of another program
            command = f"install -m 600 -o {me} {_quoted(path.resolve())} {_quoted(path)}"
        raise UnusableInput(f"{path} belongs to {_user(status.st_uid)}", f"Run: sudo {command}")
    is_roots = may_be_roots and status.st_uid == ROOT
    if not status.st_mode & (
        stat.S_IWGRP | stat.S_IRWXO if is_roots else stat.S_IRWXG | stat.S_IRWXO
    ):
        return
    command = f"chmod 600 {_quoted(path)}"
    if status.st_uid != os.geteuid():  # with mode 600, only root could read it
        in_group = status.st_gid in (os.getegid(), *os.getgroups())
        command = (
            f"sudo chmod 640 {_quoted(path)}"
            if in_group
            else f"sudo chown {me} {_quoted(path)} && sudo {command}"
        )
    raise UnusableInput(
        f"{path}: other users can read or write this private key", f"Run: {command}"
    )


def _require_no_link(path: Path) -> None:
    if path.is_symlink():
        raise UnusableInput(
            f"{path}: a symbolic link, which leads to {_quoted(path.readlink())}",
            "Put the file or folder itself there instead of the link",
        )


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _is_own_group(group: int) -> bool:
    """Whether a group is this user's private group, as many Linux systems create it."""
    return _group(group) == _user(os.geteuid()) and not set(_members(group)) - {_user(os.geteuid())}


def _members(group: int) -> list[str]:
    try:
        return grp.getgrgid(group).gr_mem
    except KeyError:
        return ["?"]


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
