"""`ecgfl init`: a home, its keys, and nothing the second time."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import load_node_key, load_public_key

Ecgfl = Callable[..., Any]


@pytest.mark.skipif(os.name == "nt", reason="permission bits are posix")
def test_the_secrets_are_readable_by_their_owner_alone(site: Path) -> None:
    assert stat.S_IMODE((site / "keys" / "node").stat().st_mode) == 0o600
    assert stat.S_IMODE((site / "keys" / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((site / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE(site.stat().st_mode) == 0o700


def test_the_node_key_is_p384_in_openssh_format(site: Path) -> None:
    raw = (site / "keys" / "node").read_bytes()
    assert raw.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    key = serialization.load_ssh_private_key(raw, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP384R1)
    public = (site / "keys" / "node.pub").read_bytes()
    assert public.startswith(b"ecdsa-sha2-nistp384 ")
    assert (
        serialization.load_ssh_public_key(public).public_numbers()
        == key.public_key().public_numbers()
    )


def test_init_names_the_public_key_to_send(home: Path, ecgfl: Ecgfl) -> None:
    assert str(home / "keys" / "node.pub") in ecgfl("init", "--site", "st-mary").out


def test_init_again_changes_nothing(site: Path, ecgfl: Ecgfl, files_of: Callable[..., Any]) -> None:
    before = files_of(site)
    ran = ecgfl("init", "--site", "st-mary")
    assert ran.code == 0
    assert "Nothing was changed" in ran.out
    assert files_of(site) == before
    assert ecgfl("init", "--site", "st-mary", "--json").json["changed"] == []


def test_init_names_the_next_step(site: Path, ecgfl: Ecgfl, federation: Any) -> None:
    again = ("init", "--site", "st-mary", "--json")
    assert "ecgfl init --site st-mary --federation" in ecgfl(*again).json["next"]
    taken = ecgfl(*again, "--federation", federation.root / "federation.json").json
    assert taken["changed"] == ["federation.json: installed, coordinator localhost"]
    assert "ecgfl ingest" in taken["next"]
    (site / "keys" / "node").unlink()
    renewed = ecgfl(*again).json
    assert renewed["changed"] == ["keys/node and keys/node.pub: a new node key was created"]
    assert str(site / "keys" / "node.pub") in renewed["next"]
    (site / "keys" / "node.pub").unlink()
    assert ecgfl(*again).json["changed"] == ["keys/node.pub: created again from keys/node"]


def test_init_mends_a_home_whose_public_key_was_lost(site: Path, ecgfl: Ecgfl) -> None:
    public = (site / "keys" / "node.pub").read_bytes()
    (site / "keys" / "node.pub").unlink()
    assert ecgfl("init", "--site", "st-mary").code == 0
    assert (site / "keys" / "node.pub").read_bytes() == public


def test_another_sites_name_is_refused(
    site: Path, ecgfl: Ecgfl, files_of: Callable[..., Any]
) -> None:
    before = files_of(site)
    ran = ecgfl("init", "--site", "st-joseph")
    assert ran.code == 2
    assert len(ran.problems) == 1
    assert "st-mary" in ran.problems[0]
    assert files_of(site) == before


@pytest.mark.parametrize("name", ["", "st mary", "../x", "a/b", 'a" # ', "-dash", "x" * 64, "a\nb"])
def test_a_name_that_cannot_be_used_makes_no_home(home: Path, ecgfl: Ecgfl, name: str) -> None:
    ran = ecgfl("init", f"--site={name}")
    assert ran.code == 2
    assert len(ran.problems) == 1
    assert "--site" in ran.problems[0]
    assert not home.exists()


@pytest.mark.parametrize(("content", "code"), [(None, 2), (b"", 3), (b"{}", 3), (b"\x00\xff", 3)])
def test_a_federation_file_that_is_none_makes_no_home(
    home: Path, ecgfl: Ecgfl, tmp_path: Path, content: bytes | None, code: int
) -> None:
    path = tmp_path / "federation.json"
    if content is not None:
        path.write_bytes(content)
    ran = ecgfl("init", "--site", "st-mary", "--federation", path)
    assert ran.code == code
    assert len(ran.problems) == 1
    assert str(path) in ran.problems[0]
    assert not home.exists()


def test_init_takes_in_the_federation_once(
    modelled: Path, ecgfl: Ecgfl, federation: Any, files_of: Callable[..., Any]
) -> None:
    assert (modelled / "federation.json").read_bytes() == (
        federation.root / "federation.json"
    ).read_bytes()
    before = files_of(modelled)
    assert (
        ecgfl("init", "--site", "st-mary", "--federation", federation.root / "federation.json").code
        == 0
    )
    assert files_of(modelled) == before


def test_init_replaces_a_lost_node_key_and_its_public_key(
    site: Path, ecgfl: Callable[..., Any]
) -> None:
    public = site / "keys" / "node.pub"
    before = public.read_bytes()
    (site / "keys" / "node").unlink()
    assert ecgfl("init", "--site", "st-mary").code == 0
    assert public.read_bytes() != before
    assert (
        load_node_key(Home(site)).public_key().public_numbers()
        == load_public_key(public).public_numbers()
    )
