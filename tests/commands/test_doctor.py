"""`ecgfl doctor` says what is wrong and how to put it right, and changes nothing."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ecgfl = Callable[..., Any]


@pytest.fixture
def ready(site: Path, ecgfl: Ecgfl, federation: Any, export: Any) -> Path:
    """A home with nothing to complain of."""
    assert ecgfl("init", "--site", "st-mary", "--federation", federation.root / "federation.json").code == 0
    assert ecgfl("ingest", *(export(seed, seconds=90) for seed in (1, 2))).code == 0
    return site


def problems(ran: Any) -> dict[str, str]:
    return {check["name"]: f"{check['problem']} {check['fix']}" for check in ran.json["checks"] if check["problem"]}


def test_a_good_home_passes_and_stays_as_it_is(ready: Path, ecgfl: Ecgfl, files_of: Any) -> None:
    before = files_of(ready)
    ran = ecgfl("doctor", "--json")
    assert problems(ran) == {}
    assert ran.code == 0
    assert files_of(ready) == before
    assert "private" in ecgfl("doctor").out


def test_a_damaged_model_is_found_also_where_another_is_in_use(modelled: Path, ecgfl: Ecgfl, federation: Any) -> None:
    models = modelled / "models"
    weights = models / federation.version / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    (models / "current").unlink()
    assert federation.version in problems(ecgfl("doctor", "--json"))["model"]


def _settings(home: Path) -> None:
    (home / "site.toml").write_text((home / "site.toml").read_text().replace("keep = 10", "keep = -1"))


def _limits(home: Path) -> None:
    (home / "site.toml").write_text((home / "site.toml").read_text().replace("[limits]", "[limits]\nmax_joy = 3"))


def _pvcs(home: Path) -> None:
    (home / "site.toml").write_text((home / "site.toml").read_text().replace("min_training_pvcs = 0", "min_training_pvcs = 9999"))


def _coordinators(home: Path) -> None:
    (home / "site.toml").write_text((home / "site.toml").read_text().replace("[policy]", '[policy]\ncoordinators = ["abc"]'))


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
        (_key, "node key", "not a usable private key"),
        pytest.param(_readable, "permissions", "chmod", marks=pytest.mark.skipif(os.name == "nt", reason="mode bits")),
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
