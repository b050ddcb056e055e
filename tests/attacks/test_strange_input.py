"""Reserved names, huge integers, malformed signatures and deeply nested JSON are refused."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric import ed25519

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.manifest import Manifest, SignedManifest, weights_sha256
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.registry import Registry

Ecgfl = Callable[..., Any]
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
DEEP = b"[" * 100_000 + b"]" * 100_000


def signed(network: torch.nn.Module, **changes: object) -> SignedManifest:
    fields: dict[str, Any] = {
        "version": "ecgnet-0001-00000000",
        "architecture": "ecgnet",
        "sequence": 1,
        "run": "20260101t000000z",
        "round": 1,
        "rounds": 1,
        "parent": None,
        "weights_sha256": weights_sha256(pack(network)),
        "threshold": 0.5,
        "sites": 2,
        "examples": 10,
        "parent_metrics": None,
        "created": "2026-01-01T00:00:00.000+00:00",
        "program": "ecgfl 0",
    }
    return SignedManifest.sign(Manifest.model_validate({**fields, **changes}), KEY)


@pytest.mark.parametrize(
    "version", ["current", "history", "best", "con", "nul", "aux", "prn", "com1", "lpt9"]
)
def test_reserved_version_name_is_refused(tmp_path: Path, version: str) -> None:
    network = architecture("ecgnet").build()
    registry = Registry(tmp_path, KEY.public_key())
    with pytest.raises(ModelRejected, match="reserved"):
        registry.add(signed(network, version=version), network, "a test")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("signature", ["", "=", "A", "\u00e9" * 80, "A" * 88, "\x00", "-_" * 44])
def test_malformed_signature_is_refused(tmp_path: Path, signature: str) -> None:
    network = architecture("ecgnet").build()
    broken = signed(network).model_copy(update={"signature": signature})
    with pytest.raises(ModelRejected, match="signature"):
        Registry(tmp_path, KEY.public_key()).add(broken, network, "a test")


@pytest.mark.parametrize("field", ["sequence", "round", "rounds", "sites", "examples"])
@pytest.mark.parametrize("digits", [17, 400, 4000])
def test_huge_integer_in_manifest_is_refused(field: str, digits: int) -> None:
    manifest = json.loads(signed(architecture("ecgnet").build()).manifest)
    text = json.dumps({**manifest, field: "HUGE"}).replace('"HUGE"', "9" * digits)
    forged = SignedManifest(
        manifest=text, signature=base64.b64encode(KEY.sign(text.encode())).decode()
    )
    with pytest.raises(ModelRejected, match=field):
        forged.open(KEY.public_key())


@pytest.mark.parametrize(
    "content",
    [DEEP, b'{"received": {}, "acceptance": ' + DEEP + b"}", b'{"received": ' + b"9" * 5000 + b"}"],
)
def test_malformed_manifest_in_registry_is_reported(
    site: Path, ecgfl: Ecgfl, content: bytes
) -> None:
    folder = site / "models" / "ecgnet-0001-00000000"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(content)
    assert ecgfl("model", "list").code == 0
    assert ecgfl("model", "show", folder.name).code == 7
    assert ecgfl("model", "verify").code == 7


@pytest.mark.parametrize(
    "content",
    [
        DEEP,
        b"",
        b"\xff",
        b'{"run": ' + DEEP + b"}",
        b'{"round": ' + b"9" * 4000 + b"}",
        b'{"round": ' + b"9" * 5000 + b"}",
    ],
)
@pytest.mark.parametrize("name", ["state.json", "audit-heads.json"])
def test_malformed_coordinator_file_is_reported(
    home: Path, ecgfl: Ecgfl, name: str, content: bytes
) -> None:
    assert ecgfl("coordinator", "init", "--name", "localhost").code == 0
    (home / "coordinator" / name).write_bytes(content)
    command = ("status",) if name == "state.json" else ("sites",)
    ran = ecgfl("coordinator", *command)
    assert (ran.code, name in ran.err) == (3, True)


@pytest.mark.parametrize(
    ("field", "value"),
    [("round", 10**400), ("updated", "yesterday"), ("updated", "2026-01-01T00:00:00")],
)
def test_invalid_state_field_is_reported(
    home: Path, ecgfl: Ecgfl, field: str, value: object
) -> None:
    assert ecgfl("coordinator", "init", "--name", "localhost").code == 0
    state = {
        "schema": "ecgfl.coordinator-state/1",
        "run": "r",
        "round": 1,
        "rounds": 1,
        "phase": "ended",
        "address": "-",
        "outcome": "running",
        "updated": "2026-01-01T00:00:00+00:00",
    }
    (home / "coordinator" / "state.json").write_text(json.dumps(state))
    assert ecgfl("coordinator", "status").code == 0
    (home / "coordinator" / "state.json").write_text(json.dumps({**state, field: value}))
    assert ecgfl("coordinator", "status").code == 3


@pytest.mark.parametrize(
    "content",
    [b"", b"ecdsa-sha2-nistp384 AAAA", b"\xff" * 1000, b"ssh-ed25519 " + b"A" * 10**6, DEEP],
    ids=str,
)
def test_an_invalid_key_file_is_left_out(site: Path, ecgfl: Ecgfl, content: bytes) -> None:
    assert ecgfl("coordinator", "init", "--name", "localhost").code == 0
    assert ecgfl("coordinator", "enrol", site / "keys" / "node.pub", "--site", "alice").code == 0
    sites = site / "coordinator" / "sites"
    (sites / "bob.pub").write_bytes(content)
    (sites / "carol.pub").mkdir()
    (sites / "twin.pub").write_bytes((sites / "alice.pub").read_bytes())
    ran = ecgfl("coordinator", "sites", "--json")
    assert ran.code == 0
    assert [each["site"] for each in ran.json["sites"]] == ["alice"]
    assert len(ran.json["problems"]) == len(ran.problems) == 3
    serve = (
        "coordinator",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--quorum-timeout",
        "100ms",
    )
    ran = ecgfl(*serve)
    assert (ran.code, "bob.pub" in ran.err) == (4, True)
    assert ecgfl("coordinator", "revoke", "bob").code == 0


@pytest.mark.parametrize(
    "value",
    ["9" * 4000, "9" * 5000, "[" * 5000 + "]" * 5000, "-1", "{a = " * 2000 + "1" + "}" * 2000],
)
def test_malformed_settings_are_refused(site: Path, ecgfl: Ecgfl, value: str) -> None:
    (site / "site.toml").write_text(
        f'[site]\nname = "st-mary"\n[policy]\nmax_batch_size = {value}\n[models]\nkeep = {value}\n'
    )
    ran = ecgfl("join", "--dry-run")
    assert (ran.code, len(ran.err) < 2000) == (2, True)
