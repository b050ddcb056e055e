"""Which sites may take part: one public key file each under <home>/coordinator/sites."""

import functools
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ecgfl_cli.errors import EcgflError, UnusableInput, UsageError
from ecgfl_cli.federation.coordinator.audit import change
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.site.keys import fingerprint_of, load_public_key
from ecgfl_cli.site.settings import SITE_NAME

SUFFIX = ".pub"
REMEMBERED = 10_000
"""Key files."""


@dataclass(frozen=True)
class EnrolledSite:
    """name : the site's. fingerprint : SHA-256 of its public key, in hexadecimal."""

    name: str
    key: ec.EllipticCurvePublicKey
    fingerprint: str


def enrolled_sites(home: CoordinatorHome) -> list[EnrolledSite]:
    """Return all enrolled sites, sorted by name. A key file that cannot be used is left out; see `sites_and_problems`."""
    return sites_and_problems(home)[0]


def sites_and_problems(home: CoordinatorHome) -> tuple[list[EnrolledSite], list[str]]:
    """Return all enrolled sites, sorted by name, and a line for each key file that cannot be used. Such a site cannot connect.

    `serve` calls this several times a second, so a file that has not changed is not read again.
    """
    sites: list[EnrolledSite] = []
    problems: list[str] = []
    for path in sorted(home.sites.glob(f"*{SUFFIX}")):
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise UnusableInput(f"{path}: not a regular file", "Remove it")
            if not re.fullmatch(SITE_NAME, path.stem):
                raise UnusableInput(f"{path}: {path.stem!r} is not a valid site name", "Rename or remove it")
            site = _site(path, (status.st_ino, status.st_mtime_ns, status.st_size))
            if (other := next((each for each in sites if each.fingerprint == site.fingerprint), None)) is not None:
                raise UnusableInput(f"{path}: the same key as {other.name}{SUFFIX}", "Remove one of the two files")
            sites.append(site)
        except FileNotFoundError:
            continue  # revoked just now
        except OSError as error:
            problems.append(f"{path}: left out: {error.strerror}. Check the file's permissions")
        except EcgflError as error:
            if path.exists():  # else revoked just now
                problems.append(f"{error.problem}: left out. {error.fix}")
    return sites, problems


@functools.lru_cache(maxsize=REMEMBERED)
def _site(path: Path, version: tuple[int, int, int]) -> EnrolledSite:  # noqa: ARG001
    """version : what tells this content of the file from any other; it is always replaced as a whole."""
    key = load_public_key(path)
    return EnrolledSite(path.stem, key, fingerprint_of(key))


def enrol(home: CoordinatorHome, public_key: Path, site: str) -> EnrolledSite:
    """Let the holder of a key take part under a name. The same again changes nothing.

    Raises `UsageError` when the name or the key is taken, `UnusableInput` when the file holds no such key.
    """
    if not re.fullmatch(SITE_NAME, site):
        raise UsageError(f"--site {site!r} is no usable name", "Use letters, digits, dots, dashes and underscores")
    key = load_public_key(public_key)
    new = EnrolledSite(site, key, fingerprint_of(key))
    for known in enrolled_sites(home):
        if (known.name == site) != (known.fingerprint == new.fingerprint):
            taken = (
                f"site '{site}' is enrolled with another key" if known.name == site else f"this key is enrolled as '{known.name}'"
            )
            raise UsageError(f"{public_key}: {taken}", "Revoke the old entry first: `ecgfl coordinator revoke SITE`")
    if new.fingerprint not in {known.fingerprint for known in enrolled_sites(home)}:
        line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        with change(home, "enrolled", site=site, sha256=new.fingerprint):
            atomic_write_bytes(home.sites / f"{site}{SUFFIX}", line + b"\n")
    return new


def revoke(home: CoordinatorHome, site: str) -> None:
    """Raises `UsageError` when no such site is enrolled."""
    path = home.sites / f"{site}{SUFFIX}"
    if not re.fullmatch(SITE_NAME, site) or not path.is_file():
        raise UsageError(f"no site '{site}' is enrolled", "`ecgfl coordinator sites` shows those that are")
    try:
        digest = fingerprint_of(load_public_key(path))
    except EcgflError:
        digest = None  # a broken key file is removed, too
    with change(home, "revoked", site=site, sha256=digest):
        path.unlink()
