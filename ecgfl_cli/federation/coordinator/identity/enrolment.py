"""Which sites may take part: one public key file each under <home>/coordinator/sites."""

import errno
import functools
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ecgfl_adapters.bounded import read_bounded
from ecgfl_adapters.file_names import is_device_name

from ecgfl_cli.errors import EcgflError, UnusableInput, UsageError
from ecgfl_cli.federation.coordinator.audit import change
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.site.keys import (
    LARGEST_PUBLIC_KEY,
    PUBLIC_KEY_FIX,
    fingerprint_of,
    load_public_key,
    public_key,
)
from ecgfl_cli.site.settings import SITE_NAME

SUFFIX = ".pub"
REMEMBERED = 10_000
"""Key files."""

NO_HANDLES = (errno.EMFILE, errno.ENFILE)
"""Error numbers if no file handle is left for this process, or in the whole system."""


@dataclass(frozen=True)
class EnrolledSite:
    """name : the site's. fingerprint : SHA-256 of its public key, in hexadecimal."""

    name: str
    key: ec.EllipticCurvePublicKey
    fingerprint: str


@dataclass(frozen=True)
class KeyFiles:
    """What the folder of key files holds.

    sites : those whose key file can be used, sorted by name. problems : a line for each key file that cannot be used; such a
    site cannot connect. unread : names of the sites whose key file is there, but cannot be read now.
    """

    sites: list[EnrolledSite]
    problems: list[str]
    unread: set[str]


def enrolled_sites(home: CoordinatorHome) -> list[EnrolledSite]:
    """Return all enrolled sites, sorted by name. A key file that cannot be used is left out; see `key_files`."""
    return key_files(home).sites


def key_files(home: CoordinatorHome) -> KeyFiles:
    """Read the key files of the enrolled sites.

    `serve` calls this several times a second, so a file that has not changed is not read again.

    Raises `OSError` if the folder cannot be listed, or if no file handle is left (`NO_HANDLES`).
    """
    found = KeyFiles([], [], set())
    for path in _listed(
        home.sites
    ):  # not `Path.glob`, which takes a folder that it cannot list for an empty one
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise UnusableInput(f"{path}: not a regular file", "Remove it")
            if not re.fullmatch(SITE_NAME, path.stem):
                raise UnusableInput(
                    f"{path}: {path.stem!r} is not a valid site name", "Rename or remove it"
                )
            site = _site(path, (status.st_ino, status.st_mtime_ns, status.st_size))
            if (
                other := next(
                    (each for each in found.sites if each.fingerprint == site.fingerprint), None
                )
            ) is not None:
                raise UnusableInput(
                    f"{path}: the same key as {other.name}{SUFFIX}", "Remove one of the two files"
                )
            found.sites.append(site)
        except FileNotFoundError:
            continue  # revoked just now
        except OSError as error:
            if error.errno in NO_HANDLES:
                raise
            found.unread.add(path.stem)
            found.problems.append(
                f"{path}: cannot be read: {error.strerror or error}. Check the file's permissions and the disk; a site that"
                " `serve` has registered already stays, any other is left out"
            )
        except EcgflError as error:
            if path.exists():  # else revoked just now
                found.problems.append(f"{error.problem}: left out. {error.fix}")
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in sorted(os.listdir(folder)) if name.endswith(SUFFIX)]  # noqa: PTH208
    except FileNotFoundError:
        return []


@functools.lru_cache(maxsize=REMEMBERED)
def _site(path: Path, version: tuple[int, int, int]) -> EnrolledSite:
    """version : what tells this content of the file from any other; it is always replaced as a whole. Its last part is the size.

    Raises `OSError` if the file cannot be read, and `UnusableInput` if it is no public key.
    """
    if version[-1] > LARGEST_PUBLIC_KEY:
        raise UnusableInput(f"{path}: not a public key: it has {version[-1]} bytes", PUBLIC_KEY_FIX)
    key = public_key(path, read_bounded(path, LARGEST_PUBLIC_KEY))
    return EnrolledSite(path.stem, key, fingerprint_of(key))


def enrol(home: CoordinatorHome, key_file: Path, site: str) -> EnrolledSite:
    """Let the holder of a key take part under a name. The same again changes nothing.

    Raises `UsageError` when the name or the key is taken, `UnusableInput` when the file holds no such key.
    """
    if not re.fullmatch(SITE_NAME, site) or is_device_name(site):
        raise UsageError(
            f"--site {site!r} is no usable name",
            "Use letters, digits, dots, dashes and underscores, and no name of a Windows device",
        )
    key = load_public_key(key_file)
    new = EnrolledSite(site, key, fingerprint_of(key))
    for known in enrolled_sites(home):
        if (known.name == site) != (known.fingerprint == new.fingerprint):
            taken = (
                f"site '{site}' is enrolled with another key"
                if known.name == site
                else f"this key is enrolled as '{known.name}'"
            )
            raise UsageError(
                f"{key_file}: {taken}",
                "Revoke the old entry first: `ecgfl coordinator revoke SITE`",
            )
    if new.fingerprint not in {known.fingerprint for known in enrolled_sites(home)}:
        line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        with change(home, "enrolled", site=site, sha256=new.fingerprint):
            atomic_write_bytes(home.sites / f"{site}{SUFFIX}", line + b"\n")
    return new


def revoke(home: CoordinatorHome, site: str) -> None:
    """Raises `UsageError` when no such site is enrolled."""
    path = home.sites / f"{site}{SUFFIX}"
    if not re.fullmatch(SITE_NAME, site) or not path.is_file():
        raise UsageError(
            f"no site '{site}' is enrolled", "`ecgfl coordinator sites` shows those that are"
        )
    try:
        digest = fingerprint_of(load_public_key(path))
    except EcgflError:
        digest = None  # a broken key file is removed, too
    with change(home, "revoked", site=site, sha256=digest):
        path.unlink()
