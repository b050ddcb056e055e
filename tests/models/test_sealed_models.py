"""A change of a site's models by anything else than ecgfl is refused; `model repair` helps."""

import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.federation.coordinator.home import CoordinatorHome, load_signing_key
from ecgfl_cli.models import model_files, sealed_files
from ecgfl_cli.models.manifest import Manifest, SignedManifest
from ecgfl_cli.models.model_file import model_file
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.site_models import site_registry
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.site.home import Home

Ecgfl = Callable[..., Any]
ModelFile = Callable[..., Path]

STARTER = starter_registry().current()
DRY_JOIN = ("join", "--dry-run")
OFFSETS = (0.0, 0.3, 0.7, 1.0)
"""Where a byte is changed, as a share of the file."""


@pytest.fixture
def file_of(federation, tmp_path: Path) -> ModelFile:
    """file_of(number, ...): a file with a final model of the coordinator, with those fields."""
    key = load_signing_key(CoordinatorHome(federation.root))
    made = Registry(federation.root / "models", key.public_key())
    template, network = made.load(federation.version)
    folders = itertools.count()

    def file_of(number: int, name: str = "a", **changes: object) -> Path:
        fields = {
            "version": f"ecgnet-{number:04d}-{name:0>8}",
            "sequence": number,
            "run": f"run-{number}-{name}",
            **changes,
        }
        manifest = Manifest.model_validate({**template.model_dump(by_alias=True), **fields})
        registry = Registry(tmp_path / f"made-{next(folders)}", key.public_key())
        registry.add(SignedManifest.sign(manifest, key), network, "a test")
        path = tmp_path / f"{number}-{name}.ecgfl"
        path.write_bytes(model_file(registry, manifest.version))
        return path

    return file_of


@pytest.fixture
def site(
    home: Path,
    ecgfl: Ecgfl,
    federation,
    file_of: ModelFile,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Models 2 to 5 were imported; `keep = 1` left the weights of 4 and 5."""
    made = ecgfl("init", "--site", "st-mary", "--federation", federation.root / "federation.json")
    assert made.code == 0
    text = (home / "site.toml").read_text()
    text = text.replace('architectures = ["beatnet"]', 'architectures = ["beatnet", "ecgnet"]')
    (home / "site.toml").write_text(re.sub(r"(?m)^keep = .*$", "keep = 1", text))
    kept = tmp_path_factory.getbasetemp() / "four-imported-models"
    if kept.is_dir():
        shutil.copytree(kept, home, dirs_exist_ok=True)
        return home
    for number in (2, 3, 4, 5):
        ran = ecgfl("model", "import", file_of(number))
        assert ran.code == 0, ran.err
    shutil.copytree(home, kept)
    return home


@pytest.fixture
def codes(ecgfl: Ecgfl, export: Callable[..., Path], tmp_path: Path) -> Callable[[], list[int]]:
    """codes(): the exit codes of `predict`, `join --dry-run` and `model use`."""
    recording = export(1, seconds=20)

    def codes() -> list[int]:
        commands = (
            ("predict", recording, "--out", tmp_path / "out", "--force"),
            DRY_JOIN,
            ("model", "use", STARTER),
        )
        return [ecgfl(*command).code for command in commands]

    return codes


NO_DATA = 3
"""Exit code of `join --dry-run` in a home without recordings."""


def version(number: int, name: str = "a") -> str:
    return f"ecgnet-{number:04d}-{name:0>8}"


def flip(path: Path, share: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[min(int(share * len(content)), len(content) - 1)] ^= 1
    path.write_bytes(content)


def restored(folder: Path, copy: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(copy, folder)


def test_one_changed_byte_in_any_file_is_refused(
    site: Path, codes: Callable[[], list[int]], tmp_path: Path
) -> None:
    models, copy = site / "models", tmp_path / "copy"
    shutil.copytree(models, copy)
    files = sorted(path.relative_to(models) for path in models.rglob("*") if path.is_file())
    assert {path.name for path in files} == {
        "best",
        "current",
        "history",
        "manifest.json",
        "model.safetensors",
        "pruned.jsonl",
    }
    for file in files:
        for share in OFFSETS:
            flip(models / file, share)
            assert codes() == [7, 7, 7], (file, share)
            restored(models, copy)
    assert codes() == [0, NO_DATA, 0]


def remove_weights(models: Path) -> None:
    (models / version(5) / "model.safetensors").unlink()


def remove_history(models: Path) -> None:
    (models / "history").unlink()


def remove_a_version(models: Path) -> None:
    shutil.rmtree(models / version(4))


def remove_all(models: Path) -> None:
    shutil.rmtree(models)


def remove_the_record(models: Path) -> None:
    (models.parent / "models.json").unlink()


def remove_models_and_record(models: Path) -> None:
    remove_all(models)
    remove_the_record(models)


def swap_versions(models: Path) -> None:
    (models / version(4)).rename(models / "x")
    (models / version(5)).rename(models / version(4))
    (models / "x").rename(models / version(5))


def swap_selection(models: Path) -> None:
    (models / "best").write_text(f"{version(4)}\n")
    (models / "current").write_text(f"{version(4)}\n")


def add_a_file(models: Path) -> None:
    (models / version(5) / "x").write_bytes(b"")


def add_a_version(models: Path) -> None:
    shutil.copytree(models / version(5), models / version(9))


def add_a_folder(models: Path) -> None:
    (models / "empty").mkdir()


def accept_by_hand(models: Path) -> None:
    path = models / version(5) / "manifest.json"
    content = json.loads(path.read_bytes())
    content["acceptance"]["code"] = "not-worse"
    path.write_text(json.dumps(content, indent=1))


def change_the_record(models: Path) -> None:
    flip(models.parent / "models.json")


def forge_the_record(models: Path) -> None:
    """Write hashes of the changed files, without the key."""
    (models / "current").write_text(f"{version(4)}\n")
    path = models.parent / "models.json"
    content = json.loads(path.read_bytes())
    record = json.loads(content["record"])
    record["files"].pop("current")
    path.write_text(json.dumps({**content, "record": json.dumps(record)}))


DAMAGES = [
    remove_weights,
    remove_history,
    remove_a_version,
    remove_all,
    remove_the_record,
    remove_models_and_record,
    swap_versions,
    swap_selection,
    add_a_file,
    add_a_version,
    add_a_folder,
    accept_by_hand,
    change_the_record,
    forge_the_record,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_advice_helps_after_every_damage(
    site: Path,
    ecgfl: Ecgfl,
    codes: Callable[[], list[int]],
    file_of: ModelFile,
    damage: Callable[[Path], None],
) -> None:
    damage(site / "models")
    assert codes() == [7, 7, 7]
    ran = ecgfl("model", "verify")
    assert (ran.code, len(ran.problems)) == (7, 1)
    assert "`ecgfl model repair`" in ran.problems[0]

    repaired = ecgfl("--json", "model", "repair")
    assert repaired.code == 0, repaired.err
    assert repaired.json["problems"]
    assert codes() == [0, NO_DATA, 0]
    assert ecgfl("model", "verify").code == 0
    assert ecgfl("audit", "verify").code == 0

    assert ecgfl("model", "import", file_of(3)).code == 5, "older than the newest model"
    ran = ecgfl("model", "import", file_of(5))
    assert ran.code == 0, ran.err
    assert ecgfl("model", "use", version(5)).code == 0
    assert ecgfl("model", "repair").out.startswith("Every model is as ecgfl wrote it")


def test_models_and_record_of_yesterday_are_refused(
    site: Path, ecgfl: Ecgfl, file_of: ModelFile, codes: Callable[[], list[int]], tmp_path: Path
) -> None:
    shutil.copytree(site / "models", tmp_path / "models")
    shutil.copy(site / "models.json", tmp_path)
    assert ecgfl("model", "import", file_of(6)).code == 0
    restored(site / "models", tmp_path / "models")
    shutil.copy(tmp_path / "models.json", site)
    assert codes() == [7, 7, 7]
    assert ecgfl("model", "repair").code == 0
    assert codes() == [0, NO_DATA, 0]
    assert ecgfl("model", "import", file_of(5)).code == 5
    assert ecgfl("model", "import", file_of(6)).code == 0


def test_a_damaged_version_is_written_again_when_it_is_received_again(
    site: Path, ecgfl: Ecgfl, file_of: ModelFile
) -> None:
    for name in ("model.safetensors", "manifest.json"):
        flip(site / "models" / version(5) / name)
        assert ecgfl("model", "verify").code == 7
        ran = ecgfl("model", "import", file_of(5))
        assert ran.code == 0, ran.err
        assert ecgfl("model", "verify").code == 0


def test_two_models_with_one_number_are_refused(
    site: Path, ecgfl: Ecgfl, file_of: ModelFile
) -> None:
    ran = ecgfl("model", "import", file_of(5, "b"))
    assert ran.code == 7
    assert f"has the number 5, which model {version(5)} has already" in ran.problems[0]
    shutil.rmtree(site / "models")
    assert ecgfl("model", "repair").code == 0
    assert ecgfl("model", "import", file_of(5, "b")).code == 7, "also after the model is lost"
    assert ecgfl("model", "import", file_of(5, threshold=0.1)).code == 7


@pytest.mark.parametrize(
    "parent",
    [
        {"parent": version(5), "parent_manifest": "0" * 64},
        {"parent": version(3), "parent_manifest": "0" * 64},
        {"parent": STARTER, "parent_manifest": "0" * 64},
        {"parent": version(3), "run": "run-5-a", "round": 2, "rounds": 2},
    ],
)
def test_an_invented_parent_is_refused(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    file_of: ModelFile,
    parent: dict[str, object],
) -> None:
    ran = ecgfl("model", "import", file_of(6, **parent))
    assert ran.code == 7
    assert str(parent["parent"]) in ran.problems[0]


def test_verify_traces_the_newest_model_through_pruned_ones(
    site: Path, ecgfl: Ecgfl, file_of: ModelFile
) -> None:
    registry = site_registry(Home(site))
    for number in (6, 7, 8, 9):
        parent = registry.manifests()[version(number - 1)]
        fields = {"parent": version(number - 1), "parent_manifest": parent.signed.sha256}
        assert ecgfl("model", "import", file_of(number, **fields)).code == 0
    assert version(6) not in registry.versions()
    ran = ecgfl("--json", "model", "verify")
    assert ran.code == 0
    assert ran.json["lineage"] == [version(number) for number in (9, 8, 7, 6, 5)]
    assert ran.json["missing_parent"] is None
    assert f"{version(9)} is traced through 5 manifests" in ecgfl("model", "verify").out


def test_verify_names_a_parent_that_was_never_received(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    file_of: ModelFile,
) -> None:
    unknown = {"parent": version(6, "x"), "parent_manifest": "1" * 64}
    assert ecgfl("model", "import", file_of(7, **unknown)).code == 0
    ran = ecgfl("--json", "model", "verify")
    assert (ran.code, ran.json["missing_parent"]) == (0, version(6, "x"))
    assert f"whose parent {version(6, 'x')} this site did not receive" in (
        ecgfl("model", "verify").out
    )


def test_a_home_of_an_earlier_version_is_sealed_by_its_first_change(
    site: Path, ecgfl: Ecgfl, federation, codes: Callable[[], list[int]]
) -> None:
    """Such a home has no models.json, and its audit log does not name it."""
    shutil.rmtree(site)
    ecgfl("init", "--site", "st-mary", "--federation", federation.root / "federation.json")
    shutil.copytree(federation.root / "models", site / "models")
    assert ecgfl("model", "verify").code == 0
    assert not (site / "models.json").exists()
    assert codes() == [0, NO_DATA, 0]
    assert ecgfl("model", "use", federation.version).code == 0
    assert codes()[0] == 0
    flip(site / "models" / "history")
    assert codes() == [7, 7, 7]


def test_models_of_another_federation_are_moved_away(
    site: Path, ecgfl: Ecgfl, codes: Callable[[], list[int]], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    assert ecgfl("--home", other, "coordinator", "init", "--name", "localhost").code == 0
    (site / "federation.json").unlink()
    assert codes()[0] == 7
    federation = other / "coordinator" / "federation.json"
    assert ecgfl("init", "--site", "st-mary", "--federation", federation).code == 0
    assert codes() == [0, NO_DATA, 0]
    (aside,) = site.glob("models-*")
    assert (aside / version(5)).is_dir()


@pytest.mark.parametrize("writes", range(1, 9))
def test_a_kill_at_any_write_leaves_intact_models(
    site: Path, federation, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """The writes before the kill are done; the next change completes or repeats it."""
    left = writes

    def killed(path: Path, data: bytes, mode: int | None = None) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        write(path, data, mode)

    write = model_files.atomic_write_bytes
    monkeypatch.setattr(model_files, "atomic_write_bytes", killed)
    monkeypatch.setattr(sealed_files, "atomic_write_bytes", killed)
    home = Home(site)
    registry = site_registry(home)
    made = Registry(
        federation.root / "models", load_signing_key(CoordinatorHome(federation.root)).public_key()
    )
    manifest, network = made.load(federation.version)
    manifest = manifest.model_copy(
        update={"version": version(6), "sequence": 6, "run": "run-6", "created": manifest.created}
    )
    signed = SignedManifest.sign(manifest, load_signing_key(CoordinatorHome(federation.root)))

    def receive() -> None:
        registry.add(signed, network, "a test")
        registry.judged(version(6), {"accepted": True})
        registry.promote(version(6))
        registry.prune(1)

    with pytest.raises(KeyboardInterrupt):
        receive()
    assert site_registry(home).current() in (version(5), version(6))
    monkeypatch.undo()
    receive()
    assert site_registry(home).current() == version(6)
    assert site_registry(home).versions() == [version(5), version(6)]
