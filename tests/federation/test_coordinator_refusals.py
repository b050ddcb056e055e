"""Errors at the coordinator before a site connects: an exit code, one line, no partial files."""

import shutil
import socket
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from federation_homes import Homes
from node_processes import Processes, contents, told
from shared_runs import Waiting

SERVE = ("coordinator", "serve", "--host", "127.0.0.1", "--port", "0")


def test_a_coordinator_is_made_once(homes: Homes) -> None:
    before = contents(homes.coordinator)
    told(homes.coordinator, "coordinator", "init", "--name", "localhost").refused(2)
    assert contents(homes.coordinator) == before


@pytest.mark.parametrize("name", ["", "no name", "a/b", "a..b", "ünder", "x" * 64, "https://host"])
def test_a_name_that_is_no_host_name_is_a_usage_error(tmp_path: Path, name: str) -> None:
    assert "--name" in told(tmp_path / "new", "coordinator", "init", "--name", name).refused(2)
    assert not (tmp_path / "new" / "coordinator").exists()


def test_sites_can_verify_an_address_that_was_given_as_name(tmp_path: Path) -> None:
    ended = told(tmp_path, "coordinator", "init", "--name", "10.1.2.3")
    if ended.code == 2:
        return  # to refuse an address is as good
    certificate = x509.load_pem_x509_certificate(
        (tmp_path / "coordinator" / "server.crt").read_bytes()
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "10.1.2.3" in [str(address) for address in names.get_values_for_type(x509.IPAddress)]


def test_private_keys_are_readable_by_their_owner_only(homes: Homes) -> None:
    for name in ("ca.key", "server.key", "signing.key"):
        assert (homes.coordinator / "coordinator" / name).stat().st_mode & 0o777 == 0o600


def test_without_a_coordinator_home_commands_are_refused(tmp_path: Path, homes: Homes) -> None:
    key = str(homes.site("alice").node_public_key)
    for arguments in (
        SERVE,
        ("coordinator", "enrol", key, "--site", "a"),
        ("coordinator", "sites"),
        ("coordinator", "revoke", "a"),
    ):
        assert "coordinator init" in told(tmp_path / "nowhere", *arguments).refused(2)
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_is_no_public_key_cannot_be_enrolled(homes: Homes, tmp_path: Path) -> None:
    before = contents(homes.coordinator)
    public = serialization.PublicFormat.OpenSSH
    wrong = {
        "missing": None,
        "empty": b"",
        "text": b"hello",
        "private": homes.site("alice").node_key.read_bytes(),
        "p256": ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(serialization.Encoding.OpenSSH, public),
        "ed25519": ed25519.Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.OpenSSH, public),
    }
    for name, words in wrong.items():
        if words is not None:
            (tmp_path / name).write_bytes(words)
        line = told(
            homes.coordinator, "coordinator", "enrol", str(tmp_path / name), "--site", "dave"
        ).refused(3)
        assert str(tmp_path / name) in line
        assert "BEGIN OPENSSH" not in line
    assert contents(homes.coordinator) == before


def test_one_key_has_one_name_and_one_name_one_key(homes: Homes) -> None:
    before = contents(homes.coordinator)
    keys = {name: str(homes.site(name).node_public_key) for name in ("alice", "bob")}
    assert "alice" in told(
        homes.coordinator, "coordinator", "enrol", keys["alice"], "--site", "alice2"
    ).refused(2)
    told(homes.coordinator, "coordinator", "enrol", keys["alice"], "--site", "bob").refused(2)
    assert contents(homes.coordinator) == before
    assert (
        told(homes.coordinator, "coordinator", "enrol", keys["alice"], "--site", "alice").code == 0
    )
    assert contents(homes.coordinator) == before


@pytest.mark.parametrize("name", ["", "../evil", "a b", ".hidden", "x" * 64, "evil\n"])
def test_a_name_that_could_be_a_path_is_no_name_of_a_site(homes: Homes, name: str) -> None:
    before = contents(homes.coordinator)
    told(
        homes.coordinator,
        "coordinator",
        "enrol",
        str(homes.site("alice").node_public_key),
        "--site",
        name,
    ).refused(2)
    told(homes.coordinator, "coordinator", "revoke", name).refused(2)
    assert contents(homes.coordinator) == before


def test_a_site_that_is_not_enrolled_cannot_be_revoked(homes: Homes) -> None:
    assert "nobody" in told(homes.coordinator, "coordinator", "revoke", "nobody").refused(2)


def test_a_port_that_is_taken_is_a_usage_error(homes: Homes) -> None:
    before = contents(homes.coordinator)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        line = told(
            homes.coordinator, "coordinator", "serve", "--host", "127.0.0.1", "--port", port
        ).refused(2)
    assert port in line
    assert contents(homes.coordinator) == before, "a run was begun that nobody asked for"


def test_a_second_serve_in_the_same_home_is_refused_at_once(waiting: Waiting) -> None:
    told(waiting.homes.coordinator, *SERVE).refused(6)


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            ("--arch", "nonsense"),
            ("--rounds", "0"),
            ("--min-sites", "1"),
            ("--port", "70000"),
            ("--local-epochs", "0"),
        ),
        *(
            ("--seed", "-1"),
            ("--phase-timeout", "never"),
            ("--host", "203.0.113.1"),
            ("--learning-rate", "much"),
        ),
    ],
    ids=" ".join,
)
def test_an_option_out_of_bounds_is_a_usage_error(homes: Homes, wrong: tuple[str, str]) -> None:
    told(homes.coordinator, *SERVE, *wrong).refused(2)


def test_invalid_plan_is_refused_before_any_site_connects(
    homes: Homes, processes: Processes
) -> None:
    before = contents(homes.coordinator)
    serving = []
    for wrong in (
        *(("--strategy", "nonsense"), ("--seed", "99999999999")),
        *(("--learning-rate", value) for value in ("-1", "0", "nan", "inf")),
    ):
        command = processes.start(homes.coordinator, *SERVE, *wrong)
        try:
            command.finish(10).refused(2)
        except TimeoutError:
            serving.append(" ".join(wrong))
            command.kill()
    assert serving == [], (
        "these serve, and fail once the sites are there or take another value than was asked for"
    )
    assert contents(homes.coordinator) == before


@pytest.mark.parametrize(
    ("strategy", "option", "owners"),
    [
        ("fedavg", "--proximal-mu", "fedprox"),
        ("fedadam", "--proximal-mu", "fedprox"),
        ("fedavg", "--server-learning-rate", "fedadam or fedyogi"),
        ("fedprox", "--server-learning-rate", "fedadam or fedyogi"),
    ],
)
def test_an_option_of_another_strategy_is_refused(
    homes: Homes, strategy: str, option: str, owners: str
) -> None:
    before = contents(homes.coordinator)
    line = told(homes.coordinator, *SERVE, "--strategy", strategy, option, "0.01").refused(2)
    assert f"{option} is not an option of --strategy {strategy}" in line
    assert f"choose --strategy {owners}" in line
    assert contents(homes.coordinator) == before


@pytest.mark.parametrize(
    ("strategy", "option", "value"),
    [
        *(("fedprox", "--proximal-mu", value) for value in ("-0.1", "100.1", "nan", "inf", "much")),
        *(
            ("fedyogi", "--server-learning-rate", value)
            for value in ("0", "-1", "nan", "inf", "much")
        ),
    ],
)
def test_a_number_out_of_a_strategys_bounds_is_refused(
    homes: Homes, strategy: str, option: str, value: str
) -> None:
    before = contents(homes.coordinator)
    assert option in told(homes.coordinator, *SERVE, "--strategy", strategy, option, value).refused(
        2
    )
    assert contents(homes.coordinator) == before


@pytest.mark.parametrize("lost", ["signing.key", "server.crt", "server.key"])
def test_a_coordinator_that_lost_a_key_says_which(homes: Homes, lost: str) -> None:
    (homes.coordinator / "coordinator" / lost).unlink()
    assert lost in told(homes.coordinator, *SERVE).refused(3)
    shutil.rmtree(homes.coordinator / "coordinator" / "models", ignore_errors=True)
