"""Enrol and revoke sites. Each has one public key file in <home>/coordinator/sites."""

import errno
import functools
import os
import re
import stat
from collections.abc import Iterable
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

MOST_CACHED = 10_000
"""Largest number of key files in the cache."""

NO_HANDLES = (errno.EMFILE, errno.ENFILE)
"""Error numbers if no file handle is left for this process, or in the whole system."""


@dataclass(frozen=True)
class EnrolledSite:
    """An enrolled site.

    Attributes
    ----------
    name
        Name of the site.
    key
        Its public node key.
    fingerprint
        SHA-256 of the key, in hexadecimal.
    """

    name: str
    key: ec.EllipticCurvePublicKey
    fingerprint: str


@dataclass(frozen=True)
class KeyFiles:
    """The content of the folder of key files.

    Attributes
    ----------
    sites
        Sites whose key file is usable, sorted by name.
    problems
        A line for each unusable key file. Its site cannot connect.
    unread
        Names of the sites whose key file exists but cannot be read now.
    """

    sites: list[EnrolledSite]
    problems: list[str]
    unread: set[str]


def enrolled_sites(home: CoordinatorHome) -> list[EnrolledSite]:
    """Return all enrolled sites with a usable key file, sorted by name; see `key_files`."""
    return key_files(home).sites


def key_files(home: CoordinatorHome) -> KeyFiles:
    """Read the key files of the enrolled sites.

    `serve` calls this several times a second, so a file that has not changed is not read again.

    Raises
    ------
    OSError
        The folder cannot be listed, or no file handle is left (`NO_HANDLES`).
    """
    files = KeyFiles([], [], set())
    for path in _key_paths(home.sites):
        try:
            site = _load_site(path)
            _require_new_key(path, site, files.sites)
            files.sites.append(site)
        except FileNotFoundError:
            continue  # revoked since the folder was listed
        except OSError as error:
            if error.errno in NO_HANDLES:
                raise
            files.unread.add(path.stem)
            files.problems.append(
                f"{path}: cannot be read: {error.strerror or error}. Check the file's permissions"
                " and the disk; a site that `serve` has registered already stays, any other is left"
                " out"
            )
        except EcgflError as error:
            if path.exists():  # otherwise revoked since the folder was listed
                files.problems.append(f"{error.problem}: left out. {error.fix}")
    return files


def _key_paths(folder: Path) -> list[Path]:
    # `Path.glob` would return nothing, and raise no error, for a folder that cannot be listed.
    try:
        return [folder / name for name in sorted(os.listdir(folder)) if name.endswith(SUFFIX)]  # noqa: PTH208
    except FileNotFoundError:
        return []


def _load_site(path: Path) -> EnrolledSite:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnusableInput(f"{path}: not a regular file", "Remove it")
    if not re.fullmatch(SITE_NAME, path.stem):
        raise UnusableInput(
            f"{path}: {path.stem!r} is not a valid site name", "Rename or remove it"
        )
    return _read_site(path, (status.st_ino, status.st_mtime_ns, status.st_size))


@functools.lru_cache(maxsize=MOST_CACHED)
def _read_site(path: Path, version: tuple[int, int, int]) -> EnrolledSite:
    """Read a key file.

    Parameters
    ----------
    path
        The file.
    version
        Key of the cache: inode, time of change, size in bytes. All changes replace the whole file.

    Raises
    ------
    OSError
        The file cannot be read.
    UnusableInput
        The file is not a public key.
    """
    *_, size = version
    if size > LARGEST_PUBLIC_KEY:
        raise UnusableInput(f"{path}: not a public key: it has {size} bytes", PUBLIC_KEY_FIX)
    key = public_key(path, read_bounded(path, LARGEST_PUBLIC_KEY))
    return EnrolledSite(path.stem, key, fingerprint_of(key))


def _require_new_key(path: Path, site: EnrolledSite, others: Iterable[EnrolledSite]) -> None:
    for other in others:
        if other.fingerprint == site.fingerprint:
            raise UnusableInput(
                f"{path}: the same key as {other.name}{SUFFIX}", "Remove one of the two files"
            )


def enrol(home: CoordinatorHome, key_file: Path, site: str) -> EnrolledSite:
    """Enrol a site. A second call with the same key and name changes nothing.

    Parameters
    ----------
    home
        Home of the coordinator.
    key_file
        File with the site's public node key.
    site
        Name of the site.

    Raises
    ------
    UsageError
        The name is not valid, or the name or the key is enrolled already.
    UnusableInput
        The file is not a public node key.
    """
    if not re.fullmatch(SITE_NAME, site) or is_device_name(site):
        raise UsageError(
            f"--site {site!r} is not a valid site name",
            "Use letters, digits, dots, dashes and underscores, and not the name of a Windows"
            " device",
        )
    key = load_public_key(key_file)
    new = EnrolledSite(site, key, fingerprint_of(key))
    known_sites = enrolled_sites(home)
    for known in known_sites:
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
    if new.fingerprint not in {known.fingerprint for known in known_sites}:
        line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        with change(home, "enrolled", site=site, sha256=new.fingerprint):
            atomic_write_bytes(home.sites / f"{site}{SUFFIX}", line + b"\n")
    return new


def revoke(home: CoordinatorHome, site: str) -> None:
    """Revoke the key of a site.

    Raises
    ------
    UsageError
        No such site is enrolled.
    """
    path = home.sites / f"{site}{SUFFIX}"
    if not re.fullmatch(SITE_NAME, site) or not path.is_file():
        raise UsageError(
            f"no site '{site}' is enrolled", "`ecgfl coordinator sites` lists the enrolled sites"
        )
    try:
        digest = fingerprint_of(load_public_key(path))
    except EcgflError:
        digest = None  # a broken key file can be removed, too
    with change(home, "revoked", site=site, sha256=digest):
        path.unlink()
