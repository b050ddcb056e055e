"""Check the home: settings, keys, permissions, disk space, lock and audit log."""

import os
import shlex
import shutil
import stat
from collections.abc import Iterator

from filelock import FileLock, Timeout

from ecgfl_cli.doctor.check import Check, checked
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import fingerprint, load_node_key
from ecgfl_cli.site.private import require_private
from ecgfl_cli.site.settings import load_settings

LEAST_FREE_GB = 5.0
"""A day of three leads at 256 Hz takes 0.13 GB in the store, and half of that while staged."""


def check_home(home: Home) -> Iterator[Check]:
    """Check settings, keys, permissions, disk space, lock and audit log."""
    yield from checked("settings", lambda: f"site {load_settings(home.settings).site.name}")
    yield from checked("node key", lambda: _key(home))
    yield from checked("permissions", lambda: _permissions(home))
    yield from checked("disk", lambda: _disk(home))
    yield from checked("lock", lambda: _lock(home))
    yield from checked(
        "audit log", lambda: f"{len(AuditLog(home.audit).entries())} lines, unbroken"
    )


def _key(home: Home) -> str:
    load_node_key(home)
    home.secret.read_bytes()
    return f"SHA-256 {fingerprint(home.node_public_key)}"


def _permissions(home: Home) -> str:
    if not os.access(home.root, os.W_OK | os.X_OK):
        raise UnusableInput(
            f"{home.root} cannot be written", "Run ecgfl as the user that `ecgfl init` was run as"
        )
    if os.name == "nt":  # access control lists are not in the mode bits
        return "writable"
    require_private(home.root)
    shared = [
        path.name
        for path in (home.root, home.keys, home.node_key, home.secret)
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    if shared:
        raise UnusableInput(
            f"others may read {', '.join(shared)} in {home.root}",
            f"chmod -R go-rwx {shlex.quote(str(home.root))}",
        )
    return "private"


def _disk(home: Home) -> str:
    free = shutil.disk_usage(home.root).free / 1e9
    if free < LEAST_FREE_GB:
        raise UnusableInput(
            f"{free:.1f} GB free at {home.root}, at least {LEAST_FREE_GB:g} GB are needed",
            "Free or add disk space",
        )
    return f"{free:.0f} GB free"


def _lock(home: Home) -> str:
    if not home.lock.exists():  # trying a missing lock would create it
        return "free"
    try:
        with FileLock(home.lock, timeout=0):
            return "free"
    except Timeout as error:
        problem = f"another ecgfl is running in {home.root}"
        raise UnusableInput(
            problem, "Nothing, if that is intended; otherwise end that process"
        ) from error
