"""Private keys may be encrypted with a passphrase of a file descriptor or systemd."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.federation.flower.connections import tls_context
from ecgfl_cli.site.passphrase import use_descriptor
from ecgfl_cli.site.private_keys import key_password, load_private_key

Ecgfl = Callable[..., Any]
PASSPHRASE = b"correct horse"
MARK = "BEGIN ENCRYPTED PRIVATE KEY"
pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="a descriptor of a parent process is not open in its child on Windows"
)


def descriptor(content: bytes) -> int:
    """A pipe that holds this."""
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    return read


@pytest.fixture
def given(ecgfl: Ecgfl) -> Ecgfl:
    """given("init", ...): a command with the passphrase."""
    return lambda *arguments: ecgfl("--passphrase-fd", descriptor(PASSPHRASE + b"\n"), *arguments)


def node_key(ran: Any) -> str | None:
    return next(check["problem"] for check in ran.json["checks"] if check["name"] == "node key")


def test_a_site(home: Path, given: Ecgfl, ecgfl: Ecgfl) -> None:
    assert given("init", "--site", "alice", "--encrypt").code == 0
    assert MARK in (home / "keys" / "node").read_text()
    assert node_key(given("doctor", "--json")) is None
    assert "none was given" in str(node_key(ecgfl("doctor", "--json")))
    wrong = ecgfl("--passphrase-fd", descriptor(b"wrong"), "doctor", "--json")
    assert "passphrase is not the one" in str(node_key(wrong))


def test_a_key_that_is_there_is_encrypted(home: Path, site: Path, given: Ecgfl) -> None:
    public = (site / "keys" / "node.pub").read_bytes()
    ran = given("init", "--site", "st-mary", "--encrypt", "--json")
    assert ran.json["changed"] == ["keys/node: encrypted with the passphrase"]
    assert MARK in (home / "keys" / "node").read_text()
    assert (home / "keys" / "node.pub").read_bytes() == public
    assert node_key(given("doctor", "--json")) is None
    assert given("init", "--site", "st-mary", "--encrypt", "--json").json["changed"] == []


def test_a_systemd_credential(
    home: Path, given: Ecgfl, ecgfl: Ecgfl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert given("init", "--site", "alice", "--encrypt").code == 0
    (tmp_path / "ecgfl-passphrase").write_bytes(PASSPHRASE + b"\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert node_key(ecgfl("doctor", "--json")) is None
    assert home.is_dir()


def test_the_variable_names_a_descriptor(home: Path, given: Ecgfl) -> None:
    assert given("init", "--site", "alice", "--encrypt").code == 0
    number = descriptor(PASSPHRASE)
    command = [sys.executable, "-m", "ecgfl_cli", "--home", str(home), "--json", "doctor"]
    variables = {**os.environ, "ECGFL_PASSPHRASE_FD": str(number)}
    ran = subprocess.run(
        command,
        env=variables,
        pass_fds=[number],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert '"node key", "state": "SHA-256' in ran.stdout


def test_without_a_passphrase_nothing_is_made(home: Path, ecgfl: Ecgfl) -> None:
    ran = ecgfl("init", "--site", "alice", "--encrypt")
    assert (ran.code, "--passphrase-fd" in ran.err) == (3, True)
    assert not (home / "keys" / "node").exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 5000])
def test_what_is_no_passphrase(home: Path, given: Ecgfl, ecgfl: Ecgfl, content: bytes) -> None:
    assert given("init", "--site", "alice", "--encrypt").code == 0
    assert "first line" in str(
        node_key(ecgfl("--passphrase-fd", descriptor(content), "doctor", "--json"))
    )
    assert home.is_dir()


def test_a_descriptor_that_is_closed(site: Path, given: Ecgfl, ecgfl: Ecgfl) -> None:
    assert given("init", "--site", "st-mary", "--encrypt").code == 0
    assert "--passphrase-fd 1000" in str(
        node_key(ecgfl("--passphrase-fd", 1000, "doctor", "--json"))
    )
    assert site.is_dir()


def test_a_coordinator(home: Path, given: Ecgfl, ecgfl: Ecgfl) -> None:
    folder = home / "coordinator"
    assert given("coordinator", "init", "--name", "localhost", "--encrypt").code == 0
    assert all(MARK in (folder / f"{name}.key").read_text() for name in ("ca", "server", "signing"))
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
    for command in (("coordinator", "renew"), serve):
        assert (ecgfl(*command).code, "none was given" in ecgfl(*command).err) == (3, True)
    assert given("coordinator", "renew", "--new-key", "--new-ca").code == 0
    assert all(MARK in (folder / f"{name}.key").read_text() for name in ("ca", "server"))
    assert given(*serve).code == 4, "no site came"


@pytest.mark.parametrize(
    "secret",
    [b"\xff\xfe", b"\xc3\xa4" * 500, b"a\0b", b"x" * 1023],
    ids=["bytes", "utf8", "nul", "longest"],
)
def test_a_passphrase_of_any_bytes(home: Path, ecgfl: Ecgfl, secret: bytes) -> None:
    assert (
        ecgfl(
            "--passphrase-fd",
            descriptor(secret),
            "coordinator",
            "init",
            "--name",
            "localhost",
            "--encrypt",
        ).code
        == 0
    )
    folder = home / "coordinator"
    use_descriptor(descriptor(secret))
    tls_context(folder / "server.crt", folder / "server.key", key_password(folder / "server.key"))
    load_private_key(folder / "signing.key", "")


@pytest.mark.parametrize("length", [1024, 1025])
def test_a_passphrase_that_is_too_long(home: Path, ecgfl: Ecgfl, length: int) -> None:
    ran = ecgfl(
        "--passphrase-fd",
        descriptor(b"x" * length),
        "coordinator",
        "init",
        "--name",
        "localhost",
        "--encrypt",
    )
    assert (ran.code, "1 to 1023 bytes" in ran.err) == (3, True)
    assert not list(home.glob("coordinator/*.key"))


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen")
def test_as_the_docs_say_with_ssh_keygen(site: Path, given: Ecgfl) -> None:
    key = site / "keys" / "node"
    command = [
        "ssh-keygen",
        "-q",
        "-p",
        "-m",
        "PKCS8",
        "-f",
        str(key),
        "-P",
        "",
        "-N",
        PASSPHRASE.decode(),
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert node_key(given("doctor", "--json")) is None


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_as_the_docs_say_with_openssl(
    home: Path, ecgfl: Ecgfl, given: Ecgfl, tmp_path: Path
) -> None:
    assert ecgfl("coordinator", "init", "--name", "localhost").code == 0
    (tmp_path / "passphrase").write_bytes(PASSPHRASE + b"\n")
    for name in ("ca", "server", "signing"):
        key = home / "coordinator" / f"{name}.key"
        subprocess.run(
            [
                "openssl",
                "pkcs8",
                "-topk8",
                "-in",
                key,
                "-out",
                tmp_path / "new.key",
                "-passout",
                f"file:{tmp_path / 'passphrase'}",
            ],
            check=True,
        )
        (tmp_path / "new.key").chmod(0o600)
        (tmp_path / "new.key").replace(key)
    assert ecgfl("coordinator", "renew").code == 3
    assert given("coordinator", "renew").code == 0
