"""A clean recording, and ways to damage it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.demo.synthesiser import synthesise

Samples = NDArray[np.float32]


@pytest.fixture(scope="session")
def clean() -> Recording:
    """Two minutes, two leads, 250 Hz, N and V labelled."""
    return synthesise(3, 120, 250)


@pytest.fixture(scope="session")
def beats(clean: Recording) -> NDArray[np.int64]:
    """What a perfect detector finds in it."""
    return np.array([label.sample for label in clean.labels or ()], dtype=np.int64)


@pytest.fixture
def damaged() -> Callable[..., Recording]:
    """damaged(recording, change, leads=(0, 1)): a recording with changed copies of leads."""

    def damage(
        recording: Recording, change: Callable[[Samples], Samples], leads: tuple[int, ...] = (0, 1)
    ) -> Recording:
        changed = tuple(
            replace(lead, samples=np.asarray(change(lead.samples.copy()), dtype=np.float32))
            if index in leads
            else lead
            for index, lead in enumerate(recording.leads)
        )
        return replace(recording, leads=changed)

    return damage
