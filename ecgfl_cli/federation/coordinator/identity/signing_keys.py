"""Rotate and withdraw the signing key, and renew the root metadata that names it.

root.key signs the root metadata (`models.trust`). Only the functions here need it, so that it can
be kept on a medium that is not connected otherwise. signing.key signs models and requests.

A rotation that was interrupted leaves signing.key.new. The next call completes it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import Metadata, Role, Root, Snapshot, Targets, Timestamp

from ecgfl_cli.errors import UnusableInput, UsageError
from ecgfl_cli.federation.coordinator.audit import change
from ecgfl_cli.federation.coordinator.home import CoordinatorHome, load_signing_key
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.federation_file import load_federation
from ecgfl_cli.models.manifest import public_key_from_text, public_key_text
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.trust import (
    WITHDRAWN,
    AnyOf,
    Trust,
    key_id,
    read_roots,
    root_of,
    roots_text,
    signing_keys,
    stored_trust,
    withdrawn_ids,
)
from ecgfl_cli.site.private_keys import is_encrypted, load_private_key, write_private_key
from ecgfl_cli.times import current_time

VALIDITY = timedelta(days=365)
"""How long a version of the root metadata is valid."""

WARN_BEFORE = timedelta(days=30)
"""How long before the expiry `serve` warns."""

RESTORE = "Restore it from your backup"


@dataclass(frozen=True)
class NewRoot:
    """A new version of the root metadata.

    Attributes
    ----------
    version
        Its number.
    until
        When it expires.
    signing_key
        The signing key that is valid now, base64.
    root_keys
        Ids of the root keys.
    threshold
        How many of them must sign the next version.
    """

    version: int
    until: datetime
    signing_key: str
    root_keys: list[str]
    threshold: int


def load_trust(home: CoordinatorHome) -> Trust:
    """Return the federation's keys.

    Raises
    ------
    ModelRejected
        roots.json is damaged.
    """
    return stored_trust(load_federation(home.federation).signing_key, home.roots, RESTORE)


def coordinator_registry(home: CoordinatorHome) -> Registry:
    """Return the models that this coordinator signed.

    Raises
    ------
    ModelRejected
        roots.json is damaged.
    """
    keys = load_trust(home).held.keys
    if home.new_signing_key.is_file():  # an interrupted rotation has signed some models with it
        keys = (*keys, _load(home.new_signing_key).public_key())
    return Registry(home.models, AnyOf(keys))


def require_serving(home: CoordinatorHome) -> Trust:
    """Return the federation's keys after checking that sites accept what this coordinator signs.

    Raises
    ------
    UnusableInput
        A rotation was interrupted, the root metadata has expired, or signing.key is not the key
        that it names.
    """
    trust = load_trust(home)
    if home.new_signing_key.is_file():
        raise UnusableInput(
            f"{home.new_signing_key}: a change of the signing key was interrupted",
            "Run `ecgfl coordinator rotate` or `ecgfl coordinator withdraw KEY` again, whichever "
            "it was, which completes it",
        )
    if trust.expires is not None and trust.expires < current_time():
        raise UnusableInput(
            f"{home.roots}: the root metadata expired on {trust.expires:%Y-%m-%d}, and sites "
            "refuse every request",
            "Run `ecgfl coordinator root`, with root.key in its place or --root-key FILE",
        )
    public = load_signing_key(home).public_key()
    if public_key_text(public) not in map(public_key_text, trust.active):
        raise UnusableInput(
            f"{home.signing_key}: not the signing key that {home.roots.name} or "
            f"{home.federation.name} names: every site would refuse its models",
            "Restore these files from the same backup",
        )
    return trust


def first_key(home: CoordinatorHome) -> ed25519.Ed25519PublicKey | None:
    """Return the signing key that federation.json names, from roots.json; None without."""
    roots = read_roots(home.roots, RESTORE)
    return next(iter(signing_keys(root_of(roots[0]).signed).values())) if roots else None


def make_first_root(home: CoordinatorHome, encrypt: bool) -> None:
    """Make root.key and the first root metadata, unless they exist. federation.json must exist."""
    if home.roots.is_file():
        return
    signing = load_signing_key(home)
    if not home.root_key.is_file():
        write_private_key(home.root_key, ed25519.Ed25519PrivateKey.generate(), encrypt)
    root = Root(version=1, consistent_snapshot=False)
    root.add_key(SSlibKey.from_crypto(_load(home.root_key).public_key()), Root.type)
    _name_signing_key(root, signing.public_key())
    _publish(home, root, [_load(home.root_key), signing])


def renew_root(
    home: CoordinatorHome,
    root_keys: Sequence[Path],
    new: Sequence[Path] = (),
    drop: Sequence[str] = (),
    threshold: int | None = None,
) -> NewRoot:
    """Publish a new version of the root metadata, which is valid for another year.

    Parameters
    ----------
    home
        Home of the coordinator.
    root_keys
        Files of the root keys to sign with; none for root.key of the home.
    new
        Files for further root keys, which are made.
    drop
        Ids of root keys that are dropped.
    threshold
        How many root keys must sign the next version; None for as many as now.

    Raises
    ------
    UsageError
        A file of a new key exists, an id is unknown, or the threshold does not fit the keys.
    UnusableInput
        A root key is missing, or too few were given.
    """
    if existing := [path for path in new if path.exists()]:
        raise UsageError(f"{existing[0]} is there already", "Name a new file for the new root key")
    signers = _root_signers(home, root_keys)
    made = [ed25519.Ed25519PrivateKey.generate() for _ in new]

    def edit(root: Root) -> None:
        for key in made:
            root.add_key(SSlibKey.from_crypto(key.public_key()), Root.type)
        for name in drop:
            if name not in root.roles[Root.type].keyids:
                raise UsageError(
                    f"there is no root key with the id {name}",
                    f"The ids are: {', '.join(root.roles[Root.type].keyids)}",
                )
            root.revoke_key(name, Root.type)
        keys = len(root.roles[Root.type].keyids)
        wanted = root.roles[Root.type].threshold if threshold is None else threshold
        if not 1 <= wanted <= keys:
            raise UsageError(
                f"a threshold of {wanted} does not fit {keys} root keys",
                f"Give --threshold a number from 1 to {keys}",
            )
        root.roles[Root.type] = Role(root.roles[Root.type].keyids, wanted)

    root = _next(home, edit)
    with change(home, "root-renewed", version=root.version):
        for path, key in zip(new, made, strict=True):
            write_private_key(path, key, _encrypts(home))
        return _publish(home, root, [*signers, *made])


def rotate(home: CoordinatorHome, root_keys: Sequence[Path]) -> NewRoot:
    """Make a new signing key, retire the old one, and sign every model again.

    Parameters
    ----------
    home
        Home of the coordinator, whose lock the caller holds.
    root_keys
        Files of the root keys to sign with; none for root.key of the home.

    Raises
    ------
    UnusableInput
        A root key is missing, or too few were given.
    """
    return _completed(home) or _replaced(home, _root_signers(home, root_keys), withdraw=False)


def withdraw(home: CoordinatorHome, root_keys: Sequence[Path], key: str) -> NewRoot:
    """Withdraw a signing key, so that nothing that it signed is valid at any site.

    If it is the present signing key, a new one is made, which signs every model again.

    Parameters
    ----------
    home
        Home of the coordinator, whose lock the caller holds.
    root_keys
        Files of the root keys to sign with; none for root.key of the home.
    key
        The key, base64.

    Raises
    ------
    UsageError
        The federation has no such key.
    UnusableInput
        A root key is missing, or too few were given.
    """
    signers = _root_signers(home, root_keys)
    completed = _completed(home)
    trust = load_trust(home)
    if completed is not None and _is_withdrawn(trust, key):
        return completed
    keys = {public_key_text(each): each for each in (*trust.active, *trust.retired)}
    if key not in keys:
        raise UsageError(
            f"{key!r} is not a valid or retired signing key of this federation",
            f"The keys are: {', '.join(keys)}",
        )
    if keys[key] in trust.active:
        return _replaced(home, signers, withdraw=True)
    root = _next(home, lambda root: _withdraw(root, keys[key]))
    with change(home, "signing-key-withdrawn", key=key):
        return _publish(home, root, signers)


def _replaced(
    home: CoordinatorHome, signers: Sequence[ed25519.Ed25519PrivateKey], withdraw: bool
) -> NewRoot:
    """Make a new signing key; retire or withdraw the old one."""
    (old,) = load_trust(home).active  # signing.key may be lost
    if not home.new_signing_key.is_file():
        new = ed25519.Ed25519PrivateKey.generate()
        write_private_key(home.new_signing_key, new, _encrypts(home))
    key = _load(home.new_signing_key)

    def edit(root: Root) -> None:
        _name_signing_key(root, key.public_key())
        if withdraw:
            _withdraw(root, old)

    event = "signing-key-withdrawn" if withdraw else "signing-key-rotated"
    names = {"key": public_key_text(old), "new": public_key_text(key.public_key())}
    with change(home, event, **names):
        coordinator_registry(home).sign_again(key)
        _publish(home, _next(home, edit), signers)
        home.new_signing_key.replace(home.signing_key)
    return _described(home)


def _completed(home: CoordinatorHome) -> NewRoot | None:
    """Complete a rotation whose root was published before a kill; None if there is none."""
    if not home.new_signing_key.is_file():
        return None
    key = public_key_text(_load(home.new_signing_key).public_key())
    if key not in map(public_key_text, load_trust(home).active):
        return None
    home.new_signing_key.replace(home.signing_key)
    return _described(home)


def _is_withdrawn(trust: Trust, key: str) -> bool:
    """Whether the newest root withdraws a key, given in base64."""
    withdrawn = withdrawn_ids(root_of(trust.roots[-1]).signed)
    try:
        return key_id(public_key_from_text(key)) in withdrawn
    except ValueError:
        return False


def _withdraw(root: Root, key: ed25519.Ed25519PublicKey) -> None:
    root.unrecognized_fields[WITHDRAWN] = sorted({*withdrawn_ids(root), key_id(key)})


def _next(home: CoordinatorHome, edit: Callable[[Root], None]) -> Root:
    """Return the next version of the root, not signed yet."""
    root = root_of(load_trust(home).roots[-1]).signed
    edit(root)
    root.version += 1
    return root


def _name_signing_key(root: Root, key: ed25519.Ed25519PublicKey) -> None:
    """Make a key the only one of the online roles. TUF requires the three; ecgfl uses `targets`."""
    for role in (Targets.type, Snapshot.type, Timestamp.type):
        for name in list(root.roles[role].keyids):
            root.revoke_key(name, role)
        root.add_key(SSlibKey.from_crypto(key), role)


def _publish(
    home: CoordinatorHome, root: Root, signers: Sequence[ed25519.Ed25519PrivateKey]
) -> NewRoot:
    """Sign a version of the root and append it to roots.json."""
    root.expires = (current_time().astimezone(UTC) + VALIDITY).replace(microsecond=0)
    metadata = Metadata(root)
    for signer in signers:
        metadata.sign(CryptoSigner(signer), append=True)
    known = load_trust(home)
    trust = Trust.of(known.anchor, [*known.roots, metadata.to_bytes().decode()])
    atomic_write_bytes(home.roots, roots_text(trust.roots).encode())
    return _described(home)


def _described(home: CoordinatorHome) -> NewRoot:
    trust = load_trust(home)
    root = root_of(trust.roots[-1]).signed
    role = root.roles[Root.type]
    return NewRoot(
        trust.version,
        trust.expires or current_time(),
        public_key_text(trust.active[0]),
        list(role.keyids),
        role.threshold,
    )


def _root_signers(home: CoordinatorHome, files: Sequence[Path]) -> list[ed25519.Ed25519PrivateKey]:
    """Load the root keys to sign with. Raise `UnusableInput` unless they are enough."""
    if not home.roots.is_file():
        make_first_root(home, _encrypts(home))
    signers = [_load(path) for path in files or [home.root_key]]
    _require_enough(root_of(load_trust(home).roots[-1]).signed, signers)
    return signers


def _encrypts(home: CoordinatorHome) -> bool:
    """Whether the keys of a coordinator are encrypted: either all of them are or none."""
    return is_encrypted(home.ca_key if home.ca_key.is_file() else home.signing_key)


def _require_enough(root: Root, signers: Sequence[ed25519.Ed25519PrivateKey]) -> None:
    role = root.roles[Root.type]
    ours = {key_id(signer.public_key()) for signer in signers} & set(role.keyids)
    if len(ours) < role.threshold:
        raise UnusableInput(
            f"{len(ours)} of the given keys are root keys of this federation, and {role.threshold} "
            "must sign",
            f"Give the files of the root keys with --root-key FILE; their ids are "
            f"{', '.join(role.keyids)}",
        )


def _load(path: Path) -> ed25519.Ed25519PrivateKey:
    key = load_private_key(
        path, "Put root.key back in its place, or name the file with --root-key FILE"
    )
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UnusableInput(f"{path}: not an Ed25519 key", RESTORE)
    return key
