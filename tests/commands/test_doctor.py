"""`ecgfl doctor` says what is wrong and how to put it right, and changes nothing."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ecgfl_cli.models.starter import starter_registry

Ecgfl = Callable[..., Any]


@pytest.fixture
def ready(site: Path, ecgfl: Ecgfl, federation: Any, export: Any) -> Path:
    """A home with nothing to complain of."""
    assert (
        ecgfl("init", "--site", "st-mary", "--federation", federation.root / "federation.json").code
        == 0
    )
    assert ecgfl("ingest", *(export(seed, seconds=90) for seed in (1, 2))).code == 0
    enough_for(site, patients=1, beats=100)
    return site


def enough_for(home: Path, patients: int, beats: int) -> None:
    """Let the site train on so few."""
    text = (home / "site.toml").read_text()
    for usual, own in (
        ("min_training_patients = 10", f"= {patients}"),
        ("min_training_beats = 1000", f"= {beats}"),
    ):
        assert usual in text
        text = text.replace(usual, f"{usual.split(' ')[0]} {own}")
    (home / "site.toml").write_text(text)


def problems(ran: Any) -> dict[str, str]:
    return {
        check["name"]: f"{check['problem']} {check['fix']}"
        for check in ran.json["checks"]
        if check["problem"]
    }


def test_a_good_home_passes_and_stays_as_it_is(ready: Path, ecgfl: Ecgfl, files_of: Any) -> None:
    before = files_of(ready)
    ran = ecgfl("doctor", "--json")
    assert problems(ran) == {}
    assert ran.code == 0
    assert files_of(ready) == before
    assert "private" in ecgfl("doctor").out


def test_a_damaged_model_is_found_also_where_another_is_in_use(
    modelled: Path, ecgfl: Ecgfl, federation: Any
) -> None:
    models = modelled / "models"
    weights = models / federation.version / "model.safetensors"
    assert ecgfl("model", "use", starter_registry().current()).code == 0
    weights.write_bytes(weights.read_bytes() + b"x")
    assert federation.version in problems(ecgfl("doctor", "--json"))["model"]


def _settings(home: Path) -> None:
    (home / "site.toml").write_text(
        (home / "site.toml").read_text().replace("keep = 10", "keep = -1")
    )


def _limits(home: Path) -> None:
    (home / "site.toml").write_text(
        (home / "site.toml").read_text().replace("[limits]", "[limits]\nmax_joy = 3")
    )


def _pvcs(home: Path) -> None:
    (home / "site.toml").write_text(
        (home / "site.toml")
        .read_text()
        .replace("min_training_pvcs = 0", "min_training_pvcs = 9999")
    )


def _coordinators(home: Path) -> None:
    (home / "site.toml").write_text(
        (home / "site.toml").read_text().replace("[policy]", '[policy]\ncoordinators = ["abc"]')
    )


def _architecture(home: Path) -> None:
    (home / "site.toml").write_text(
        (home / "site.toml")
        .read_text()
        .replace('architectures = ["beatnet"]', 'architectures = ["beatnet", "beetnet"]')
    )


def _threads(home: Path) -> None:
    (home / "site.toml").write_text(
        (home / "site.toml").read_text().replace("cpu_threads = 1", "cpu_threads = 9999")
    )


def _ca(home: Path) -> None:
    federation = json.loads((home / "federation.json").read_text())
    key = ec.generate_private_key(ec.SECP384R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")]), datetime.now(UTC)
    soon = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
    )
    soon = soon.not_valid_before(now - timedelta(days=9)).not_valid_after(now + timedelta(days=59))
    federation["ca_certificate"] = (
        soon.sign(key, hashes.SHA384()).public_bytes(serialization.Encoding.PEM).decode()
    )
    (home / "federation.json").write_text(json.dumps(federation))


def _key(home: Path) -> None:
    (home / "keys" / "node").write_text("not a key")


def _readable(home: Path) -> None:
    (home / "keys" / "secret").chmod(0o644)


def _audit(home: Path) -> None:
    log = home / "audit.jsonl"
    log.write_text(log.read_text().replace("added", "adddd"))


def _catalogue(home: Path) -> None:
    (home / "catalogue.sqlite").write_bytes(b"garbage" * 1000)


def _federation(home: Path) -> None:
    (home / "federation.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "check", "said"),
    [
        (_settings, "settings", "models.keep"),
        (_limits, "limits", "max_joy"),
        (_pvcs, "recordings", "min_training_pvcs"),
        (_coordinators, "federation", "policy.coordinators"),
        (
            _architecture,
            "policy",
            "names 'beetnet', which this ecgfl does not have Correct or remove it",
        ),
        (_threads, "policy", "cpu_threads = 9999"),
        (_ca, "federation", "renew --new-ca"),
        (_key, "node key", "not a usable private key"),
        pytest.param(
            _readable,
            "permissions",
            "chmod",
            marks=pytest.mark.skipif(os.name == "nt", reason="mode bits"),
        ),
        (_audit, "audit log", "line"),
        (_catalogue, "recordings", "not a database"),
        (_federation, "federation", "--federation federation.json"),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(
    ready: Path, ecgfl: Ecgfl, spoil: Callable[[Path], None], check: str, said: str
) -> None:
    spoil(ready)
    ran = ecgfl("doctor", "--json")
    assert ran.code == 3
    assert said in problems(ran)[check]


def test_a_site_without_recordings_is_not_ready(site: Path, ecgfl: Ecgfl) -> None:  # noqa: ARG001
    assert "ecgfl ingest" in problems(ecgfl("doctor", "--json"))["recordings"]


def test_a_lock_that_is_held_is_told(ready: Path, ecgfl: Ecgfl) -> None:
    from filelock import FileLock

    with FileLock(ready / "lock"):
        assert "another ecgfl" in problems(ecgfl("doctor", "--json"))["lock"]


@pytest.mark.skipif(os.name == "nt", reason="systemd")
@pytest.mark.parametrize(
    ("hours", "is_right"), [("08:00-10:00", False), ("21:00-22:04", False), ("22:00-06:00", True)]
)
def test_a_schedule_outside_the_hours_is_found(
    ready: Path,
    ecgfl: Ecgfl,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hours: str,
    is_right: bool,
) -> None:
    monkeypatch.setattr("ecgfl_cli.schedule.scheduled.UNITS", tmp_path)
    assert (
        ecgfl(
            "schedule",
            "systemd",
            "--server",
            "ecg.example.org:8443",
            "--at",
            "22:00",
            "--write",
            tmp_path,
        ).code
        == 0
    )
    (ready / "site.toml").write_text(
        (ready / "site.toml").read_text().replace("[policy]", f'[policy]\nhours = "{hours}"')
    )
    ran = ecgfl("doctor", "--json")
    (check,) = [check for check in ran.json["checks"] if check["name"] == "schedule"]
    assert (check["problem"] is None) is is_right
    if is_right:
        assert check["state"].startswith("22:00 (")
    else:
        assert hours in check["problem"]
        assert str(tmp_path) in check["problem"]


@pytest.mark.parametrize(
    ("patients", "beats", "setting"),
    [(10, 100, "policy.min_training_patients = 10"), (1, 9999, "policy.min_training_beats = 9999")],
)
def test_the_setting_for_which_there_is_too_little_is_named(
    site: Path,
    ecgfl: Ecgfl,
    export: Any,
    patients: int,
    beats: int,
    setting: str,
) -> None:
    assert ecgfl("ingest", *(export(seed, seconds=60) for seed in (1, 2))).code == 0
    enough_for(site, patients, beats)
    assert setting in problems(ecgfl("doctor", "--json"))["recordings"]


def test_too_few_held_out_patients_are_said_and_no_problem(ready: Path, ecgfl: Ecgfl) -> None:  # noqa: ARG001
    (state,) = (
        check["state"]
        for check in ecgfl("doctor", "--json").json["checks"]
        if check["name"] == "held-out patients"
    )
    assert "no figure of them leaves" in state
    assert "policy.min_held_out_patients = 2" in state


def earlier_release(home: Path) -> None:
    """Give the policy the values that the template of an earlier release wrote."""
    text = (home / "site.toml").read_text()
    (home / "site.toml").write_text(
        text.replace('architectures = ["beatnet"]', 'architectures = ["beatnet", "ecgnet"]')
    )


WEAKER = (
    'weaker than the default: architectures = ["beatnet", "ecgnet"] (default ["beatnet"]), '
    "min_training_patients = 1 (default 10), min_training_beats = 100 (default 1000)"
)


def test_names_policy_values_weaker_than_the_default(ready: Path, ecgfl: Ecgfl) -> None:
    earlier_release(ready)
    ran = ecgfl("doctor", "--json")
    assert ran.code == 0
    (state,) = (check["state"] for check in ran.json["checks"] if check["name"] == "policy")
    assert WEAKER in state


def test_join_names_policy_values_weaker_than_the_default_once(ready: Path, ecgfl: Ecgfl) -> None:
    earlier_release(ready)
    _coordinators(ready)  # join ends before it connects
    ran = ecgfl("join", "--server", "localhost:9", "--once")
    assert ran.code == 5
    assert ran.err.count(WEAKER) == 1
