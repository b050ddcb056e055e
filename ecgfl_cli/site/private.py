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
PRIVATE_KEYS = ("keys/node", "keys/secret", "signing.key", "ca.key")
SERVER_KEY = "server.key"
"""This file may be a link, because the certificate and key of another issuer are often kept elsewhere."""


def require_private(home: Path) -> None:
    """Check the home of a site or a coordinator, and make its locks inaccessible to other users.

    Raises `UnusableInput` with the command to run if another user owns or can write to the home, a folder above it, its keys,
    locks or audit log, if others can read a private key, or if one of these files is a link.
    """
    if sys.platform == "win32" or not home.is_dir():
        return
    for folder in _above(home.absolute()):
        _require_parent(folder, home)
    for folder in (home, home / "keys", home / "sites"):
        if folder.is_dir():
            if folder != home:
                _require_no_link(folder)
            _require_own(folder, home)
            _require_unwritable(folder, home)
    for name in (*PRIVATE_KEYS, *LOCKS, *LOGS):
        path = home / name
        if not os.path.lexists(path):
            continue
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
    if (home / SERVER_KEY).is_file():
        _require_unreadable(home / SERVER_KEY)


def _above(home: Path) -> Iterator[Path]:
    """Return the folders above a home: those of its path, and those of its real path if it is reached by a link."""
    yield from dict.fromkeys((*home.parents, *home.resolve().parents))


def _require_parent(folder: Path, home: Path) -> None:
    """Refuse a folder in which other users could replace the home. With the sticky bit, as in /tmp, they cannot."""
    status = folder.stat()
    if status.st_uid not in (ROOT, os.geteuid()) and os.geteuid() != ROOT:  # a container's root works in volumes of others
        raise UnusableInput(
            f"{folder} belongs to {_user(status.st_uid)}, who could replace the home {home} in it",
            f"Move the home into a folder of your own, or run: sudo chown {_user(os.geteuid())} {_quoted(folder)}",
        )
    writable = status.st_mode & GROUP_OR_OTHERS_WRITE
    if not writable or status.st_mode & stat.S_ISVTX:
        return
    if writable == stat.S_IWGRP and _is_own_group(status.st_gid):
        return
    who = "every user" if writable & stat.S_IWOTH else f"the group {_group(status.st_gid)}"
    bits = "o-w" if writable == stat.S_IWOTH else "go-w"
    raise UnusableInput(
        f"{folder}: {who} can write there, and could replace the home {home} in it",
        f"Move the home into a folder of your own, or run: chmod {bits} {_quoted(folder)}",
    )


def _require_own(path: Path, home: Path) -> None:
    owner = path.stat().st_uid
    if owner != os.geteuid():
        raise UnusableInput(
            f"{path} belongs to {_user(owner)}, and ecgfl runs as {_user(os.geteuid())}",
            f"Run ecgfl as the user that `ecgfl init` was run as, or run: sudo chown -R {_user(os.geteuid())} {_quoted(home)}",
        )


def _require_unwritable(path: Path, home: Path) -> None:
    if _mode(path) & GROUP_OR_OTHERS_WRITE:
        raise UnusableInput(
            f"{path}: other users can write to it",
            f"Run: chmod -R go-w {_quoted(home)} (if the file system does not store modes, move the home to one that does)",
        )


def _require_unreadable(path: Path) -> None:
    """Refuse a private key that other users own or can read."""
    if path.stat().st_uid not in (ROOT, os.geteuid()):
        raise UnusableInput(
            f"{path} belongs to {_user(path.stat().st_uid)}", f"Run: sudo chown {_user(os.geteuid())} {_quoted(path)}"
        )
    if _mode(path) & 0o077:
        raise UnusableInput(f"{path}: other users can read or write this private key", f"Run: chmod 600 {_quoted(path)}")


def _require_no_link(path: Path) -> None:
    if path.is_symlink():
        raise UnusableInput(
            f"{path}: a symbolic link, which leads to {_quoted(path.readlink())}",
            "Put the file or folder itself there instead of the link",
        )


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _is_own_group(group: int) -> bool:
    """Whether a group is this user's private group, which many Linux systems create for each user."""
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
