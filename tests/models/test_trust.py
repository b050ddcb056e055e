"""Root metadata that was changed anywhere is refused."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import Metadata, Root

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.models.trust import LARGEST_ROOTS, WITHDRAWN, Trust, key_id, roots_from, roots_text

Key = ed25519.Ed25519PrivateKey
NOW = datetime.now(UTC).replace(microsecond=0)
ROOT_KEY, FIRST, SECOND = (Key.generate() for _ in range(3))


def made(version: int, signing: Key, *signers: Key, withdrawn: list[Key] | None = None) -> str:
    """A version of the root that names one signing key."""
    root = Root(version=version, expires=NOW + timedelta(days=365), consistent_snapshot=False)
    root.add_key(SSlibKey.from_crypto(ROOT_KEY.public_key()), "root")
    for role in ("targets", "snapshot", "timestamp"):
        root.add_key(SSlibKey.from_crypto(signing.public_key()), role)
    if withdrawn:
        root.unrecognized_fields[WITHDRAWN] = [key_id(key.public_key()) for key in withdrawn]
    metadata = Metadata(root)
    for signer in signers:
        metadata.sign(CryptoSigner(signer), append=True)
    return metadata.to_bytes().decode()


@pytest.fixture(scope="module")
def roots() -> list[str]:
    return [made(1, FIRST, ROOT_KEY, FIRST), made(2, SECOND, ROOT_KEY)]


def signs(trust: Trust, key: Key, is_new: bool) -> bool:
    """Whether a signature of the key is valid."""
    keys = trust.new(NOW) if is_new else trust.held
    try:
        keys.verify(key.sign(b"x"), b"x")
    except InvalidSignature:
        return False
    return True


def test_the_old_key_is_retired(roots: list[str]) -> None:
    trust = Trust.of(FIRST.public_key()).followed_by(roots)
    assert trust.version == 2
    assert [signs(trust, key, True) for key in (FIRST, SECOND, ROOT_KEY)] == [False, True, False]
    assert [signs(trust, key, False) for key in (FIRST, SECOND, ROOT_KEY)] == [True, True, False]


def test_a_withdrawn_key_signs_nothing(roots: list[str]) -> None:
    third = made(3, SECOND, ROOT_KEY, withdrawn=[FIRST])
    trust = Trust.of(FIRST.public_key(), [*roots, third])
    assert [signs(trust, key, False) for key in (FIRST, SECOND)] == [False, True]
    both = made(3, SECOND, ROOT_KEY, withdrawn=[FIRST, SECOND])
    trust = Trust.of(FIRST.public_key(), [*roots, both])
    assert not signs(trust, SECOND, True)


def test_older_metadata_changes_nothing(roots: list[str]) -> None:
    trust = Trust.of(FIRST.public_key(), roots)
    assert trust.followed_by([]) == trust.followed_by(roots[:1]) == trust
    other = made(1, FIRST, ROOT_KEY, FIRST, ROOT_KEY).replace('"_type"', ' "_type"')
    with pytest.raises(ModelRejected, match="another one"):
        trust.followed_by([other])


def test_nothing_new_is_accepted_after_the_expiry(roots: list[str]) -> None:
    trust = Trust.of(FIRST.public_key(), roots)
    trust.new(NOW + timedelta(days=364))
    with pytest.raises(ModelRejected, match="version 2, expired on"):
        trust.new(NOW + timedelta(days=366))
    assert signs(trust, FIRST, False)


WRONG: dict[str, Callable[[], list[str]]] = {
    "not signed": lambda: [made(1, FIRST)],
    "not by the signing key that the site knows": lambda: [made(1, FIRST, ROOT_KEY)],
    "not by the root key": lambda: [made(1, FIRST, FIRST)],
    "of another signing key": lambda: [made(1, SECOND, ROOT_KEY, SECOND)],
    "the second alone": lambda: [made(2, SECOND, ROOT_KEY)],
    "a version left out": lambda: [made(1, FIRST, ROOT_KEY, FIRST), made(3, SECOND, ROOT_KEY)],
    "a second by the signing key": lambda: [
        made(1, FIRST, ROOT_KEY, FIRST),
        made(2, SECOND, FIRST),
    ],
    "too many": lambda: ["{}"] * 101,
    "not metadata": lambda: ["{}"],
    "not JSON": lambda: ["["],
    "metadata of another role": lambda: [
        json.dumps(
            {
                "signatures": [],
                "signed": {
                    "_type": "targets",
                    "spec_version": "1.0.31",
                    "version": 1,
                    "expires": "2100-01-01T00:00:00Z",
                    "targets": {},
                },
            }
        )
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_metadata_is_refused(name: str) -> None:
    with pytest.raises(ModelRejected, match="root metadata"):
        Trust.of(FIRST.public_key(), WRONG[name]())


def test_every_change_is_refused(roots: list[str]) -> None:
    """One character of what is signed is changed; or a value is replaced by another type."""
    numbers = random.Random(1)
    for text in roots:
        signed = text.index('"signed"') + len('"signed"')
        for _ in range(200):
            at = numbers.randrange(signed, len(text))
            changed = text[:at] + chr(numbers.randrange(33, 126)) + text[at + 1 :]
            if _content(changed) == _content(text):
                continue
            with pytest.raises(ModelRejected):
                Trust.of(FIRST.public_key(), [changed if each == text else each for each in roots])
    for value in (2, [], {}, "", [1]):
        for name in json.loads(roots[0])["signed"]:
            content = json.loads(roots[0])
            if content["signed"][name] == value:
                continue
            content["signed"][name] = value
            with pytest.raises(ModelRejected):
                Trust.of(FIRST.public_key(), [json.dumps(content)])


def _content(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_a_key_that_is_named_but_missing_is_refused() -> None:
    content = json.loads(made(1, FIRST))
    content["signed"]["roles"]["targets"]["keyids"] = ["0" * 64]
    metadata = Metadata[Root].from_bytes(json.dumps(content).encode())
    for signer in (ROOT_KEY, FIRST):
        metadata.sign(CryptoSigner(signer), append=True)
    with pytest.raises(ModelRejected, match="root metadata"):
        Trust.of(FIRST.public_key(), [metadata.to_bytes().decode()])


def test_the_text_is_bounded(roots: list[str]) -> None:
    assert roots_from(roots_text(roots)) == roots
    for text in ("[1]", "{}", "", "[" * 100_000, " " * (LARGEST_ROOTS + 1)):
        with pytest.raises(ValueError, match=r"\w"):
            roots_from(text)
