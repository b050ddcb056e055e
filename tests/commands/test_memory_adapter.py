"""A recording needs an adapter but no file: one in memory is predicted like any other."""

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from ecgfl_adapters import registry
from ecgfl_adapters.protocol import Adapter
from memory_adapter import MemoryAdapter

from ecgfl_cli.demo.synthesiser import synthesise

Ecgfl = Callable[..., Any]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryAdapter:
    """Installed beside the built-in adapters, and the only one of its kind."""
    adapter = MemoryAdapter()
    points = [
        *registry.entry_points(group=registry.GROUP),
        EntryPoint("memory", "memory_adapter:made", registry.GROUP),
    ]
    monkeypatch.setattr(
        registry, "entry_points", lambda group: points if group == registry.GROUP else []
    )
    monkeypatch.setattr("memory_adapter.made", lambda: adapter, raising=False)
    registry.installed.cache_clear()
    yield adapter
    registry.installed.cache_clear()


def test_a_recording_in_memory_is_predicted_as_its_file_is(
    memory: MemoryAdapter, ecgfl: Ecgfl, export: Any, tmp_path: Path
) -> None:
    assert isinstance(memory, Adapter)
    recording = synthesise(72, 60, 250, pvc_share=0.15)
    (in_memory,) = memory.write(recording, tmp_path)
    assert not in_memory.exists()
    outputs = []
    for place, path in enumerate((in_memory, export(recording))):
        out = tmp_path / str(place)
        assert ecgfl("predict", path, "--out", out).code == 0
        outputs.append((out / f"{recording.name}.ecgfl.csv").read_text())
    assert outputs[0] == outputs[1]
    assert ",V," in outputs[0]
