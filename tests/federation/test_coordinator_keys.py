"""`coordinator renew`, the expiry warnings, and the steps for lost keys in docs/coordinator.md."""

import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import DAY, certify
from cryptography import x509
from federation_homes import Homes, ecgfl
from node_processes import contents, told
from shared_runs import Finished

from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.models.federation_file import load_federation
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.site.home import Home

SERVE = ("coordinator", "serve", "--host", "127.0.0.1", "--port", "0", "--quorum-timeout", "100ms")
RENEW = ("coordinator", "renew")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A coordinator's home without sites."""
    ecgfl(tmp_path / "c", "coordinator", "init", "--name", "localhost")
    return tmp_path / "c"


@pytest.fixture
def home(root: Path) -> CoordinatorHome:
    return CoordinatorHome(Home(root).coordinator)


def is_trusted(home: CoordinatorHome) -> bool:
    """Whether a site with federation.json trusts the coordinator's certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(home.server_certificate, home.server_key)
    client = ssl.create_default_context(cadata=load_federation(home.federation).ca_certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    try:
        for _ in range(4):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLError:
        return False
    return ends[0].version() is not None


def test_renew_replaces_the_certificate_alone(root: Path, home: CoordinatorHome) -> None:
    certify(home, ends=5 * DAY)
    before = contents(root)
    done = told(root, *RENEW)
    assert done.code == 0, done.said
    after = contents(root)
    assert {name for name in after if before.get(name) != after[name]} - {
        "coordinator/audit.lock"
    } == {"coordinator/server.crt"}
    assert datetime.fromisoformat(done.result["until"]) > datetime.now(UTC) + 700 * DAY
    assert is_trusted(home)
    (entry,) = told(root, "coordinator", "audit", "show", "--event", "renewed").result["entries"]
    assert (entry["new_key"], entry["new_ca"]) == (False, False)
    told(root, *SERVE).refused(4)


def test_renew_with_a_new_key(root: Path, home: CoordinatorHome) -> None:
    key = home.server_key.read_bytes()
    assert told(root, *RENEW, "--new-key").result["new_key"] is True
    assert home.server_key.read_bytes() != key
    assert is_trusted(home)


def test_lost_server_files_are_renewed(root: Path, home: CoordinatorHome) -> None:
    home.server_key.unlink()
    home.server_certificate.unlink()
    assert "coordinator renew" in told(root, *SERVE).refused(3)
    assert told(root, *RENEW).code == 0
    assert is_trusted(home)
    told(root, *SERVE).refused(4)


def test_a_key_of_another_certificate_is_told_and_renewed(
    root: Path, home: CoordinatorHome
) -> None:
    certificate = home.server_certificate.read_bytes()
    told(root, *RENEW, "--new-key")
    home.server_certificate.write_bytes(certificate)  # as after a kill between the two files
    assert "does not belong" in told(root, *SERVE).refused(3)
    assert told(root, *RENEW).code == 0
    told(root, *SERVE).refused(4)


def test_without_the_cas_key_there_is_a_new_ca(
    root: Path, home: CoordinatorHome, tmp_path: Path
) -> None:
    ecgfl(tmp_path / "s", "init", "--site", "s", "--federation", str(home.federation))
    signing, ca = (
        load_federation(home.federation).signing_public_key,
        home.ca_certificate.read_bytes(),
    )
    home.ca_key.unlink()
    before = contents(root)
    assert "--new-ca" in told(root, *RENEW).refused(3)
    assert contents(root) == before
    told(root, *SERVE).refused(4)
    done = told(root, *RENEW, "--new-ca")
    assert done.result["new_ca"] is True
    assert home.ca_certificate.read_bytes() != ca
    federation = load_federation(home.federation)
    assert federation.signing_public_key == signing
    assert federation.ca_certificate.encode() == home.ca_certificate.read_bytes()
    assert is_trusted(home)
    again = told(tmp_path / "s", "init", "--site", "s", "--federation", str(home.federation))
    assert again.result["changed"] == ["federation.json: the coordinator has a new CA certificate"]
    assert told(root, *RENEW).code == 0, "the new CA's key is there"


def test_a_certificate_of_another_issuer_is_not_replaced(
    root: Path, home: CoordinatorHome, tmp_path: Path
) -> None:
    ecgfl(tmp_path / "other", "coordinator", "init", "--name", "elsewhere")
    home.server_certificate.write_bytes(
        (tmp_path / "other" / "coordinator" / "server.crt").read_bytes()
    )
    assert "elsewhere" in told(root, *RENEW).refused(3)


@pytest.mark.parametrize(("ends", "warns"), [(59 * DAY, True), (61 * DAY, False)])
def test_warns_sixty_days_before(
    root: Path, home: CoordinatorHome, ends: timedelta, warns: bool
) -> None:
    certify(home, ends=ends)
    until = f"{datetime.now(UTC) + ends:%Y-%m-%d}"
    served, status, doctor = (
        told(root, *SERVE),
        told(root, "coordinator", "status"),
        told(root, "doctor"),
    )
    assert (served.code, status.code, doctor.code) == (4, 0, 3 if warns else 0)
    for said in (
        "\n".join(served.said),
        "\n".join(status.result["warnings"]),
        str(doctor.result["checks"]),
    ):
        assert (f"expires on {until}" in said and "coordinator renew" in said) is warns


def test_an_expired_certificate_is_not_served(root: Path, home: CoordinatorHome) -> None:
    certify(home, begins=-2 * DAY, ends=-DAY)
    assert "coordinator renew" in told(root, *SERVE).refused(3)
    assert "expired on" in str(told(root, "coordinator", "status").result["warnings"])
    assert told(root, *RENEW).code == 0
    told(root, *SERVE).refused(4)


def test_a_lost_federation_file_is_made_again(root: Path, home: CoordinatorHome) -> None:
    before = contents(root)
    home.federation.unlink()
    assert "coordinator init" in told(root, *SERVE).refused(2)
    assert told(root, "coordinator", "init", "--name", "localhost").code == 0
    assert contents(root) == before


def test_a_lost_signing_key_is_not_made_anew_beside_its_models(
    root: Path, home: CoordinatorHome
) -> None:
    told(root, *SERVE).refused(4)
    home.signing_key.unlink()
    assert "backup" in told(root, *SERVE).refused(3)
    home.federation.unlink()
    assert "backup" in told(root, "coordinator", "init", "--name", "localhost").refused(3)
    assert not home.signing_key.exists()


def test_a_federation_without_its_signing_key_begins_again(homes: Homes, tmp_path: Path) -> None:
    new = tmp_path / "new"
    ecgfl(new, "coordinator", "init", "--name", "localhost")
    ecgfl(
        new,
        "coordinator",
        "enrol",
        str(homes.coordinator_home.sites / "alice.pub"),
        "--site",
        "alice",
    )
    alice, federation = homes.site("alice"), CoordinatorHome(Home(new).coordinator).federation
    init = ("init", "--site", "alice", "--federation", str(federation))
    assert "remove the old file first" in told(alice.root, *init).refused(2)
    alice.federation.rename(tmp_path / "old.json")
    assert told(alice.root, *init).code == 0
    assert told(alice.root, "model", "verify").code == 0


def test_a_newer_model_comes_back_from_a_site(finished: Finished, tmp_path: Path) -> None:
    """A restored backup is old: sites refuse lower model numbers than they have seen."""
    root, version = tmp_path / "c", finished.served.result["model"]
    shutil.copytree(finished.homes.coordinator, root)
    models = CoordinatorHome(Home(root).coordinator).models
    shutil.rmtree(models)
    models.mkdir()
    shutil.copytree(finished.homes.site("alice").models / version, models / version)
    assert told(root, "doctor").code == 0
    told(root, *SERVE).refused(4)
    entries = Registry(models, finished.homes.federation.signing_key).entries()
    assert [entry.manifest.parent for entry in entries][1:] == [version]
    assert entries[1].manifest.sequence == entries[0].manifest.sequence + 1


def test_init_of_a_coordinator_that_is_there_names_the_next_step(root: Path) -> None:
    before = contents(root)
    line = told(root, "coordinator", "init", "--name", "localhost").refused(2)
    assert "nothing was changed" in line
    for command in ("coordinator enrol", "coordinator serve", "coordinator renew"):
        assert command in line
    assert contents(root) == before


def test_the_new_certificate_has_the_names_of_the_old_one(
    root: Path, home: CoordinatorHome
) -> None:
    def names() -> set[object]:
        certificate = x509.load_pem_x509_certificate(home.server_certificate.read_bytes())
        return set(
            certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )

    before = names()
    told(root, *RENEW)
    assert names() == before
