"""Small recordings and files for the tests of the adapters."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.edf.adapter import EdfAdapter
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Lead, Recording, Source
from ecgfl_adapters.wfdb.adapter import WfdbAdapter

FS = 250.0
STEP_MV = 0.005


@pytest.fixture
def recording() -> Recording:
    """10.3 s of two leads at 250 Hz, in steps of 5 µV, with three labels."""
    counts = np.random.default_rng(1).integers(-900, 900, size=(2, 2575))
    leads = tuple(
        Lead(name, (row * STEP_MV).astype(np.float32), STEP_MV)
        for name, row in zip(("MLII", "V5"), counts, strict=True)
    )
    labels = (BeatLabel(18, "+"), BeatLabel(77, "N"), BeatLabel(2570, "V"))
    return Recording("small", FS, leads, Source(Path("small"), "memory", "small"), labels)


@pytest.fixture(scope="session")
def mitdb_minute(real_data: Path) -> Recording:
    """The first 60 s of mitdb 100, both leads."""
    whole = WfdbAdapter().read(real_data / "mitdb" / "100.hea", ReadOptions())
    length = 60 * 360
    leads = tuple(replace(lead, samples=lead.samples[:length].copy()) for lead in whole.leads)
    assert whole.labels is not None
    labels = tuple(label for label in whole.labels if label.sample < length)
    return replace(whole, leads=leads, labels=labels)


@pytest.fixture
def edf_field(tmp_path: Path, recording: Recording) -> Callable[[int, bytes], Path]:
    """Return a function that writes an EDF file and overwrites header bytes at an offset."""

    def make(offset: int, value: bytes) -> Path:
        path = EdfAdapter().write(recording, tmp_path)[0]
        raw = bytearray(path.read_bytes())
        raw[offset : offset + len(value)] = value
        path.write_bytes(bytes(raw))
        return path

    return make
