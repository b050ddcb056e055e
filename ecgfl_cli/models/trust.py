"""The signing keys of a federation, which follow from its root metadata.

The metadata is that of The Update Framework (TUF), written and checked with python-tuf. The root
names the keys of the role `targets`: the signing keys that are valid now. A new root has the next
version and is signed by the root keys of the version before and by its own, as TUF's section 5.3
says. The first root is also signed by the signing key in federation.json, which every site has
already. Therefore keys change without a new federation.json.

A key that is no longer named is retired: what it signed and is here stays valid, and nothing new
that it signed is accepted. A withdrawn key is named in the field `WITHDRAWN`, and nothing that it
signed is valid.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from ecgfl_adapters.bounded import read_bounded
from pydantic import TypeAdapter, ValidationError
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from ecgfl_cli.errors import ModelRejected

WITHDRAWN = "x-ecgfl-withdrawn"
"""Field of a root with the ids of the withdrawn keys."""

LARGEST_ROOTS = 64 * 1024
"""Largest size of all versions of the root, in characters: about 40 versions."""

MOST_KEYS = 100
"""Largest number of keys that a root names, and of versions."""

_ROOTS = TypeAdapter(list[str])
ROTTEN = "Tell the coordinator; do not use what came with it"


@dataclass(frozen=True)
class AnyOf:
    """Several keys, each of which may have signed.

    Attributes
    ----------
    keys : tuple of Ed25519PublicKey
        The keys.
    """

    keys: tuple[ed25519.Ed25519PublicKey, ...]

    def verify(self, signature: bytes, data: bytes, /) -> None:
        """Raise `InvalidSignature` unless one of the keys made the signature."""
        for key in self.keys:
            try:
                key.verify(signature, data)
            except InvalidSignature:
                continue
            return
        raise InvalidSignature


@dataclass(frozen=True)
class Trust:
    """The signing keys of a federation.

    Attributes
    ----------
    anchor : Ed25519PublicKey
        Signing key in federation.json.
    roots : tuple of str
        Every version of the root metadata, oldest first, as JSON.
    active : tuple of Ed25519PublicKey
        Keys that may sign now.
    retired : tuple of Ed25519PublicKey
        Keys that may have signed what is here.
    expires : datetime or None
        Until when new models and requests are accepted; None without root metadata.
    """

    anchor: ed25519.Ed25519PublicKey
    roots: tuple[str, ...]
    active: tuple[ed25519.Ed25519PublicKey, ...]
    retired: tuple[ed25519.Ed25519PublicKey, ...] = ()
    expires: datetime | None = None

    @classmethod
    def of(cls, anchor: ed25519.Ed25519PublicKey, roots: Sequence[str] = ()) -> "Trust":
        """Check every version of the root, and return the keys.

        Parameters
        ----------
        anchor : Ed25519PublicKey
            Signing key in federation.json.
        roots : sequence of str
            Every version of the root metadata, oldest first, as JSON.

        Raises
        ------
        ModelRejected
            A version is broken, missing, or not signed by enough root keys.
        """
        if not roots:
            return cls(anchor, (), (anchor,))
        if len(roots) > MOST_KEYS:
            raise ModelRejected(f"more than {MOST_KEYS} versions of the root metadata", ROTTEN)
        known: dict[str, ed25519.Ed25519PublicKey] = {key_id(anchor): anchor}
        before: Metadata[Root] | None = None
        for number, text in enumerate(roots, 1):
            before = _next_root(before, text, number, anchor)
            known |= signing_keys(before.signed)
        if before is None:
            raise ModelRejected("no root metadata", ROTTEN)
        withdrawn = withdrawn_ids(before.signed)
        active = {
            name: key for name, key in signing_keys(before.signed).items() if name not in withdrawn
        }
        gone = {*active, *withdrawn}
        retired = tuple(key for name, key in known.items() if name not in gone)
        return cls(
            anchor, tuple(roots), tuple(active.values()), retired, _utc(before.signed.expires)
        )

    @property
    def version(self) -> int:
        """Version of the root metadata; 0 without."""
        return len(self.roots)

    @property
    def held(self) -> AnyOf:
        """Keys for what is here already."""
        return AnyOf((*self.active, *self.retired))

    def new(self, now: datetime) -> AnyOf:
        """Return the keys for what arrives at a time.

        Raises
        ------
        ModelRejected
            The root metadata has expired.
        """
        if self.expires is not None and now > self.expires:
            raise ModelRejected(
                f"the root metadata of the federation, version {self.version}, expired on "
                f"{self.expires:%Y-%m-%d}",
                "Compare this machine's clock with another one. If it is right, ask the "
                "coordinator to run `ecgfl coordinator root`; the next `ecgfl join` or a new model "
                "file brings the new version",
            )
        return AnyOf(self.active)

    def followed_by(self, roots: Sequence[str]) -> "Trust":
        """Return the keys after further versions of the root; older ones change nothing.

        Parameters
        ----------
        roots : sequence of str
            Every version, oldest first, as they came with a request or a model.

        Raises
        ------
        ModelRejected
            A version is broken, not signed by enough root keys, or another than the known one.
        """
        if tuple(roots[: self.version]) != self.roots[: len(roots)]:
            raise ModelRejected(
                "the root metadata that came is another one than this site knows", ROTTEN
            )
        return self if len(roots) <= self.version else Trust.of(self.anchor, roots)


def root_of(text: str) -> Metadata[Root]:
    """Parse a version of the root metadata.

    Raises
    ------
    ModelRejected
        It is broken.
    """
    try:
        metadata = Metadata[Root].from_bytes(text.encode())
    except (DeserializationError, RecursionError) as error:
        raise ModelRejected(f"root metadata that is broken: {error}", ROTTEN) from error
    root = metadata.signed
    if not isinstance(root, Root) or len(root.keys) > MOST_KEYS:
        raise ModelRejected("root metadata that is not that of a root", ROTTEN)
    ids = root.unrecognized_fields.get(WITHDRAWN, [])
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise ModelRejected(f"root metadata with a broken field {WITHDRAWN}", ROTTEN)
    return metadata


def withdrawn_ids(root: Root) -> list[str]:
    """Return the ids of the withdrawn keys."""
    return list(root.unrecognized_fields.get(WITHDRAWN, []))


def key_id(key: ed25519.Ed25519PublicKey) -> str:
    """Return the id of a key in TUF metadata."""
    return SSlibKey.from_crypto(key).keyid


def roots_text(roots: Iterable[str]) -> str:
    """Return every version of the root as one text."""
    return json.dumps(list(roots))


def roots_from(text: str) -> list[str]:
    """Parse the text of `roots_text`.

    Raises
    ------
    ValueError
        It is broken or too long.
    """
    if len(text) > LARGEST_ROOTS:
        raise ValueError(f"root metadata of more than {LARGEST_ROOTS} characters")
    return _ROOTS.validate_json(text)


def read_roots(path: Path, fix: str) -> list[str]:
    """Return every version of the root in a file; none if there is no file.

    Parameters
    ----------
    path : Path
        The file.
    fix : str
        What to do if it is broken, for the message.

    Raises
    ------
    ModelRejected
        It is broken.
    """
    try:
        return roots_from(read_bounded(path, LARGEST_ROOTS).decode())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, ValidationError) as error:
        raise ModelRejected(f"{path}: damaged ({type(error).__name__})", fix) from error


def stored_trust(anchor: ed25519.Ed25519PublicKey, path: Path, fix: str) -> Trust:
    """Return the keys that follow from the root metadata in a file.

    Parameters
    ----------
    anchor : Ed25519PublicKey
        Signing key in federation.json.
    path : Path
        The file; it need not exist.
    fix : str
        What to do if it is wrong, for the message.

    Raises
    ------
    ModelRejected
        It is broken, or not signed by enough root keys.
    """
    roots = read_roots(path, fix)
    try:
        return Trust.of(anchor, roots)
    except ModelRejected as error:
        raise ModelRejected(f"{path}: {error.problem}", fix) from error


def _next_root(
    before: Metadata[Root] | None, text: str, number: int, anchor: ed25519.Ed25519PublicKey
) -> Metadata[Root]:
    """Return a version of the root after checking its number and its signatures."""
    metadata = root_of(text)
    root = metadata.signed
    if root.version != number:
        raise ModelRejected(f"root metadata of version {root.version} as the {number}th", ROTTEN)
    try:
        payload = metadata.signed_bytes
        root.verify_delegate(Root.type, payload, metadata.signatures)
        if before is None:
            own = SSlibKey.from_crypto(anchor)
            own.verify_signature(metadata.signatures[own.keyid], payload)
        else:
            before.signed.verify_delegate(Root.type, payload, metadata.signatures)
    except (
        RepositoryError,
        UnverifiedSignatureError,
        VerificationError,
        KeyError,
        ValueError,
    ) as error:
        raise ModelRejected(
            f"root metadata of version {number} that is not signed by enough root keys of this "
            f"federation: {error}",
            ROTTEN,
        ) from error
    return metadata


def signing_keys(root: Root) -> dict[str, ed25519.Ed25519PublicKey]:
    """Return the keys of the role `targets` by their ids."""
    keys = {}
    for name in root.roles[Targets.type].keyids:
        try:
            value = bytes.fromhex(root.keys[name].keyval["public"])
            key = ed25519.Ed25519PublicKey.from_public_bytes(value)
        except (KeyError, ValueError, TypeError) as error:
            raise ModelRejected(
                "root metadata with a signing key that is missing or not Ed25519", ROTTEN
            ) from error
        keys[key_id(key)] = key  # the name in the metadata could be anything
    return keys


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
