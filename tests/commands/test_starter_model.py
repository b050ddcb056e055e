"""`predict` uses the starter model until the site has received another model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecgfl_cli.models.starter import MODEL_CARD, starter_registry

Ecgfl = Callable[..., Any]
STARTER = starter_registry().entries()[0].manifest


def models_used(out: Path) -> set[str]:
    return {json.loads(path.read_text())["model"]["version"] for path in out.glob("*.ecgfl.json")}


def test_without_any_home_the_starter_model_predicts(
    home: Path, ecgfl: Ecgfl, export: Any, tmp_path: Path
) -> None:
    ran = ecgfl("predict", export(1, seconds=20), "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert models_used(tmp_path / "out") == {STARTER.version}
    assert not home.exists()


def test_site_without_a_received_model_uses_the_starter(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
) -> None:
    assert ecgfl("predict", export(1, seconds=20), "--out", tmp_path / "out").code == 0
    assert models_used(tmp_path / "out") == {STARTER.version}


def test_the_federations_model_takes_its_place(
    modelled: Path, ecgfl: Ecgfl, export: Any, tmp_path: Path
) -> None:
    assert ecgfl("predict", export(1, seconds=20), "--out", tmp_path / "out").code == 0
    used = models_used(tmp_path / "out")
    assert used == {(modelled / "models" / "current").read_text().strip()}
    assert used != {STARTER.version}


def test_model_show_tells_what_the_starter_is(site: Path, ecgfl: Ecgfl) -> None:  # noqa: ARG001
    ran = ecgfl("--json", "model", "show")
    assert ran.code == 0, ran.err
    assert ran.json["model"]["version"] == STARTER.version
    assert MODEL_CARD.read_text(encoding="utf-8").strip() in ecgfl("model", "show").out


def test_switches_to_the_starter_model_and_back(modelled: Path, ecgfl: Ecgfl) -> None:
    received = (modelled / "models" / "current").read_text().strip()
    for version in (STARTER.version, received):
        assert ecgfl("model", "use", version).code == 0
        assert ecgfl("--json", "model", "list").json["current"] == version


def test_the_starter_is_verified_with_the_rest(site: Path, ecgfl: Ecgfl) -> None:  # noqa: ARG001
    ran = ecgfl("--json", "model", "verify")
    assert (ran.code, ran.json["versions"]) == (0, [STARTER.version])


def test_the_card_is_this_versions() -> None:
    card = MODEL_CARD.read_text(encoding="utf-8")
    assert STARTER.version in card
    assert STARTER.weights_sha256 in card
    assert "starter_model.py" in card
    assert "Open Data Commons Attribution" in card
