"""The registry keeps versions, and gives them back as they came."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgfl_cli.errors import ModelRejected, UsageError
from ecgfl_cli.models.manifest import Manifest, SignedManifest
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.registry import Registry


@pytest.fixture
def fill(tmp_path: Path, key, network, manifest) -> Callable[[int], Registry]:
    def fill(versions: int) -> Registry:
        registry = Registry(tmp_path / "models", key.public_key())
        for sequence in range(1, versions + 1):
            registry.add(SignedManifest.sign(manifest(sequence=sequence), key), network, "a test")
        return registry

    return fill


def version(sequence: int) -> str:
    return f"ecgnet-{sequence:04d}-abcdef01"


def test_a_stored_model_loads_as_it_was(fill, network, manifest) -> None:
    found, loaded = fill(1).load(version(1))
    assert found == manifest(sequence=1)
    np.testing.assert_array_equal(pack(loaded), pack(network))
    assert not loaded.training


def test_a_stored_model_is_safetensors_and_json_and_nothing_else(fill, tmp_path: Path) -> None:
    fill(1)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [path.name for path in files] == ["manifest.json", "model.safetensors"]
    json.loads(files[0].read_bytes())
    header = int.from_bytes(files[1].read_bytes()[:8], "little")
    assert "1.weight" in json.loads(files[1].read_bytes()[8 : 8 + header])


def test_entry_has_its_origin_and_a_valid_signature(fill, key) -> None:
    entry = fill(1).entry(version(1))
    assert entry.received["source"] == "a test"
    assert entry.signed.open(key.public_key()) == entry.manifest


def test_versions_are_listed_oldest_first(fill) -> None:
    assert [entry.manifest.version for entry in fill(3).entries()] == [
        version(1),
        version(2),
        version(3),
    ]


def test_nothing_is_current_before_the_first_promotion(fill) -> None:
    registry = fill(2)
    assert registry.current() is None
    registry.promote(version(2))
    assert registry.current() == version(2)
    registry.promote(version(1))
    assert registry.current() == version(1)


def test_a_version_that_is_not_there_cannot_become_current(fill) -> None:
    registry = fill(1)
    with pytest.raises(UsageError, match="no model version 'ecgnet-0009"):
        registry.promote(version(9))
    assert registry.current() is None


def test_the_same_version_again_changes_nothing(fill, tmp_path: Path, files_of) -> None:
    fill(1)
    before = files_of(tmp_path)
    fill(1)
    assert files_of(tmp_path) == before


def test_a_version_never_changes_its_content(
    fill, key, network, manifest, tmp_path: Path, files_of
) -> None:
    registry = fill(1)
    before = files_of(tmp_path)
    with pytest.raises(ModelRejected, match="other content"):
        registry.add(
            SignedManifest.sign(manifest(sequence=1, threshold=0.4), key), network, "a test"
        )
    assert files_of(tmp_path) == before


@pytest.mark.parametrize("current", [1, 3, 5])
def test_pruning_keeps_the_last_versions_and_the_current_one(fill, current: int) -> None:
    registry = fill(5)
    registry.promote(version(current))
    gone = registry.prune(2)
    kept = {4, 5, current}
    assert gone == [version(number) for number in range(1, 6) if number not in kept]
    assert [entry.manifest.version for entry in registry.entries()] == [
        version(number) for number in sorted(kept)
    ]
    registry.load(version(current))


def test_pruning_a_small_registry_removes_nothing(fill) -> None:
    assert fill(2).prune(10) == []


def test_a_manifest_survives_signing_word_for_word(key, manifest: Callable[..., Manifest]) -> None:
    signed = SignedManifest.sign(manifest(threshold=1 / 3), key)
    assert signed.open(key.public_key()) == manifest(threshold=1 / 3)
