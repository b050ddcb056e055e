"""What a manifest may say, and whose signature it needs."""

import base64
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.models.manifest import (
    SignedManifest,
    check_weights,
    public_key_from_text,
    public_key_text,
    validity,
    weights_sha256,
)
from ecgfl_cli.models.networks import network_of
from ecgfl_cli.models.packing import pack


def signed_text(fields: dict, key) -> SignedManifest:
    text = json.dumps(fields)
    return SignedManifest(
        manifest=text, signature=base64.b64encode(key.sign(text.encode())).decode()
    )


def test_another_key_is_not_this_federations(key, manifest) -> None:
    signed = SignedManifest.sign(manifest(), key)
    with pytest.raises(ModelRejected, match="signature"):
        signed.open(ed25519.Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize("signature", ["", "no base64!", "QUJD", "A" * 88, "\u00e9" * 88])
def test_a_broken_signature_is_rejected(key, manifest, signature: str) -> None:
    signed = SignedManifest.sign(manifest(), key).model_copy(update={"signature": signature})
    with pytest.raises(ModelRejected, match="signature"):
        signed.open(key.public_key())


def test_one_changed_character_breaks_the_signature(key, manifest) -> None:
    signed = SignedManifest.sign(manifest(), key)
    changed = signed.model_copy(
        update={"manifest": signed.manifest.replace('"threshold":0.5', '"threshold":0.6')}
    )
    assert changed.manifest != signed.manifest
    with pytest.raises(ModelRejected, match="signature"):
        changed.open(key.public_key())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "../x"),
        ("version", "a/b"),
        ("version", ".hidden"),
        ("version", "A" * 64),
        ("architecture", "../../etc"),
        ("run", "a b"),
        ("parent", "../x"),
        ("weights_sha256", "00"),
        ("threshold", 1.5),
        ("threshold", "0.5"),
        ("sequence", -1),
        ("rounds", 0),
        ("schema", "ecgfl.model/2"),
        ("surprise", 1),
        *(
            ("sequence", 10**10),
            ("round", 10**10),
            ("rounds", 10**10),
            ("sites", 10**10),
            ("examples", 10**13),
        ),
        ("sequence", int("9" * 4000)),
        *(
            ("created", ""),
            ("created", "2026-01-01"),
            ("created", "x" * 41),
            ("expires", "never"),
            ("expires", 5),
        ),
        ("expires", "2026-01-01T00:00:00"),
        ("program", "x" * 201),
    ],
)
def test_a_well_signed_manifest_outside_the_schema_is_rejected(
    key, manifest, field: str, value: object
) -> None:
    fields = json.loads(manifest().to_bytes())
    with pytest.raises(ModelRejected, match=field):
        signed_text({**fields, field: value}, key).open(key.public_key())


def test_a_number_that_python_does_not_read_is_rejected(key, manifest) -> None:
    text = manifest().to_bytes().decode().replace('"sequence":1', f'"sequence":{"9" * 9000}')
    signed = SignedManifest(
        manifest=text, signature=base64.b64encode(key.sign(text.encode())).decode()
    )
    with pytest.raises(ModelRejected, match="broken"):
        signed.open(key.public_key())


def test_nested_lists_are_rejected(key, manifest) -> None:
    text = (
        manifest()
        .to_bytes()
        .decode()
        .replace('"sequence":1', f'"sequence":{"[" * 30_000}{"]" * 30_000}')
    )
    signed = SignedManifest.model_construct(
        manifest=text, signature=base64.b64encode(key.sign(text.encode())).decode()
    )
    with pytest.raises(ModelRejected):
        signed.open(key.public_key())


@pytest.mark.parametrize("days", [-1, 0, 366])
def test_a_model_expires_within_a_year(key, manifest, days: int) -> None:
    expires = datetime.fromisoformat(manifest().created) + timedelta(days=days)
    with pytest.raises(ModelRejected, match="expires"):
        signed_text(
            {**json.loads(manifest().to_bytes()), "expires": expires.isoformat()}, key
        ).open(key.public_key())


def test_a_model_is_news_until_it_expires(manifest) -> None:
    now = datetime.now(UTC)
    created, expires = validity(now)
    model = manifest(created=created, expires=expires)
    assert model.is_news(now + timedelta(days=364))
    assert not model.is_news(now + timedelta(days=366))
    assert not manifest(expires=None).is_news(now)


def test_a_manifest_from_before_models_expired_is_read(key, manifest) -> None:
    fields = json.loads(manifest().to_bytes())
    del fields["expires"]
    assert signed_text(fields, key).open(key.public_key()).expires is None


def test_a_manifest_with_a_field_missing_is_rejected(key, manifest) -> None:
    fields = json.loads(manifest().to_bytes())
    del fields["threshold"]
    with pytest.raises(ModelRejected, match="threshold"):
        signed_text(fields, key).open(key.public_key())


def test_weights_must_be_those_of_the_manifest(network, manifest) -> None:
    vector = pack(network)
    check_weights(manifest(), vector)
    vector[0] += 1e-3
    with pytest.raises(ModelRejected, match="SHA-256"):
        check_weights(manifest(), vector)


def test_weights_that_are_not_finite_are_rejected(network, manifest) -> None:
    vector = pack(network)
    vector[0] = np.nan
    with pytest.raises(ModelRejected, match="not finite"):
        check_weights(manifest(weights_sha256=weights_sha256(vector)), vector)


def test_weights_of_another_length_are_rejected(manifest) -> None:
    vector = np.zeros(10, dtype=np.float32)
    with pytest.raises(ModelRejected, match="184802"):
        network_of(manifest(weights_sha256=weights_sha256(vector)), vector)


def test_unknown_architecture_is_rejected(network, manifest) -> None:
    with pytest.raises(ModelRejected, match="transformer"):
        network_of(manifest(architecture="transformer"), pack(network))


def test_a_public_key_survives_as_text(key) -> None:
    text = public_key_text(key.public_key())
    assert public_key_text(public_key_from_text(text)) == text
    for broken in ("", "AAAA", text[:-4], "no base64!"):
        with pytest.raises(ValueError):
            public_key_from_text(broken)
