"""One step back to the version used before, as often as there is one; whatever a kill left."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.errors import UsageError
from ecgfl_cli.models.manifest import SignedManifest
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.starter import starter_registry

Ecgfl = Callable[..., Any]


def version(sequence: int) -> str:
    return f"ecgnet-{sequence:04d}-abcdef01"


@pytest.fixture
def registry(tmp_path: Path, key, network, manifest) -> Registry:
    """Three versions, none used yet."""
    registry = Registry(tmp_path / "models", key.public_key())
    for sequence in (1, 2, 3):
        registry.add(SignedManifest.sign(manifest(sequence=sequence), key), network, "a test")
    return registry


def test_each_step_goes_one_further_back(registry: Registry) -> None:
    for sequence in (1, 3, 2):
        registry.promote(version(sequence))
    assert registry.previous() == version(3)
    assert registry.roll_back() == registry.current() == version(3)
    assert registry.roll_back() == registry.current() == version(1)
    assert registry.roll_back() is registry.current() is None
    with pytest.raises(UsageError, match="no version was used before"):
        registry.roll_back()


def test_the_current_version_again_is_no_step(registry: Registry) -> None:
    for sequence in (1, 2, 2, 2):
        registry.promote(version(sequence))
    assert registry.roll_back() == version(1)


def test_nothing_was_used_before_the_first(registry: Registry) -> None:
    with pytest.raises(UsageError, match="the starter model"):
        registry.previous()


def test_a_version_that_was_removed_is_passed_over(registry: Registry) -> None:
    for sequence in (1, 2, 3):
        registry.promote(version(sequence))
    (registry._folder / version(2)).rename(registry._folder.parent / "elsewhere")
    assert registry.roll_back() == version(1)


def test_pruning_leaves_where_to_go_back_to(registry: Registry) -> None:
    for sequence in (1, 3):
        registry.promote(version(sequence))
    assert registry.prune(1) == [version(2)]
    assert registry.roll_back() == version(1)


def test_a_kill_between_the_two_files_makes_no_step_of_nothing(registry: Registry) -> None:
    """The history is written first when going on, last when going back."""
    registry.promote(version(1))
    registry.promote(version(2))
    history = registry._folder / "history"
    history.write_text(f"-\n{version(1)}\n{version(2)}\n")
    assert registry.roll_back() == version(1)
    history.write_text(f"-\n{version(1)}\n")
    assert registry.roll_back() is None


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"../../x\n", b"-\n../x\n/etc\n"])
def test_a_history_that_somebody_wrote_into_leads_nowhere(registry: Registry, text: bytes) -> None:
    registry.promote(version(1))
    (registry._folder / "history").write_bytes(text)
    try:
        assert registry.roll_back() is None
    except UsageError:
        assert registry.current() == version(1)


def test_rollback_on_the_command_line(modelled: Path, ecgfl: Ecgfl, federation) -> None:
    starter = starter_registry().current()
    assert ecgfl("model", "use", starter).code == 0
    ran = ecgfl("--json", "model", "rollback")
    assert (ran.code, ran.json["version"], ran.json["left"]) == (0, federation.version, starter)
    assert ecgfl("--json", "model", "list").json["current"] == federation.version
    last = ecgfl("--json", "audit", "show").json["entries"][-1]
    assert (last["event"], last["version"], last["left"]) == (
        "model-rolled-back",
        federation.version,
        starter,
    )

    assert ecgfl("--json", "model", "rollback").json["version"] == starter, (
        "before the first, the starter model was in use"
    )
    ran = ecgfl("model", "rollback")
    assert ran.code == 2
    assert "model use VERSION" in ran.problems[0]
    assert not (modelled / "models" / "current").exists()


def test_a_damaged_version_is_not_gone_back_to(modelled: Path, ecgfl: Ecgfl, federation) -> None:
    starter = starter_registry().current()
    assert ecgfl("model", "use", starter).code == 0
    weights = modelled / "models" / federation.version / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert ecgfl("model", "rollback").code == 7
    assert ecgfl("model", "repair").code == 0
    assert ecgfl("--json", "model", "list").json["current"] == starter
