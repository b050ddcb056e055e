"""A model that was changed on the disk is refused on the command line: exit code 7, one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ecgfl = Callable[..., Any]


@pytest.fixture
def folder(modelled: Path, federation) -> Path:
    return modelled / "models" / federation.version


def change(path: Path, edit: Callable[[dict], None]) -> None:
    content = json.loads(path.read_bytes())
    edit(content)
    path.write_text(json.dumps(content))


def flip_last_byte(folder: Path) -> None:
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def empty_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def other_weights(folder: Path) -> None:
    """Well-formed, of another network."""
    import torch
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, folder / "model.safetensors")


def pickled_weights(folder: Path) -> None:
    import torch

    torch.save({"weight": torch.zeros(3)}, folder / "model.safetensors")


def change_threshold(folder: Path) -> None:
    def edit(content: dict) -> None:
        content["manifest"] = content["manifest"].replace('"threshold":0.5', '"threshold":0.01')

    change(folder / "manifest.json", edit)


def swap_signature(folder: Path) -> None:
    change(folder / "manifest.json", lambda content: content.update(signature="A" * 86 + "=="))


def drop_signature(folder: Path) -> None:
    change(folder / "manifest.json", lambda content: content.pop("signature"))


def cut_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:50])


def unknown_architecture(folder: Path) -> None:
    def edit(content: dict) -> None:
        content["manifest"] = content["manifest"].replace(
            '"architecture":"ecgnet"', '"architecture":"transformer"'
        )

    change(folder / "manifest.json", edit)


DAMAGES = [
    flip_last_byte,
    empty_weights,
    remove_weights,
    other_weights,
    pickled_weights,
    change_threshold,
    swap_signature,
    drop_signature,
    cut_manifest,
    unknown_architecture,
]


def test_an_undamaged_model_is_verified(modelled: Path, ecgfl: Ecgfl, federation) -> None:  # noqa: ARG001
    ran = ecgfl("model", "verify", "--json")
    assert ran.code == 0
    assert federation.version in ran.json["versions"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_finds_every_change(
    folder: Path, ecgfl: Ecgfl, damage: Callable[[Path], None]
) -> None:
    damage(folder)
    ran = ecgfl("model", "verify")
    assert ran.code == 7
    assert len(ran.err.splitlines()) == len(ran.problems) == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_predict_refuses_every_changed_model(
    folder: Path,
    ecgfl: Ecgfl,
    export: Callable[..., Path],
    tmp_path: Path,
    damage: Callable[[Path], None],
) -> None:
    damage(folder)
    ran = ecgfl("predict", export(1, seconds=20), "--out", tmp_path / "out")
    assert ran.code == 7
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert not list((tmp_path / "out").glob("*"))


def test_a_model_under_another_versions_name_is_refused(folder: Path, ecgfl: Ecgfl) -> None:
    folder.rename(folder.with_name("ecgnet-0099-00000000"))
    assert ecgfl("model", "use", "ecgnet-0099-00000000").code == 7


@pytest.mark.parametrize("version", ["../x", "../../elsewhere/x"])
def test_a_version_never_leads_out_of_the_registry(
    folder: Path, ecgfl: Ecgfl, export: Callable[..., Path], tmp_path: Path, version: str
) -> None:
    outside = folder.parent / version
    outside.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, outside)
    assert ecgfl(
        "predict", export(1, seconds=20), "--model", version, "--out", tmp_path / "out"
    ).code in (2, 7)
    assert ecgfl("model", "use", version).code in (2, 7)
    (folder.parent / "current").write_text(version)
    assert ecgfl("predict", export(1, seconds=20), "--out", tmp_path / "out").code == 7


def test_using_a_version_that_is_not_there_is_a_usage_error(modelled: Path, ecgfl: Ecgfl) -> None:
    before = (modelled / "models" / "current").read_bytes()
    ran = ecgfl("model", "use", "ecgnet-0042-00000000")
    assert ran.code == 2
    assert "ecgnet-0042-00000000" in ran.problems[0]
    assert (modelled / "models" / "current").read_bytes() == before


def test_using_a_damaged_version_leaves_the_current_one(
    folder: Path, ecgfl: Ecgfl, modelled: Path
) -> None:
    (modelled / "models" / "current").unlink()
    flip_last_byte(folder)
    assert ecgfl("model", "use", folder.name).code == 7
    assert not (modelled / "models" / "current").exists()


def test_the_list_shows_the_current_version(modelled: Path, ecgfl: Ecgfl, federation) -> None:  # noqa: ARG001
    assert ecgfl("model", "list", "--json").json["current"] == federation.version
    assert federation.version in ecgfl("model", "list").out
