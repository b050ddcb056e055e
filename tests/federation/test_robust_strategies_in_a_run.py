"""Three sites and a coordinator, once with each strategy that withstands a bad site."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from federation_homes import SITES, Homes
from memory_runs import run_in_memory
from numpy.typing import NDArray
from test_federated_average import trained_at

from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.packing import pack

pytestmark = pytest.mark.slow


def nearest(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Krum of three sites without a malicious one: the nearest neighbour of each is its score."""
    squares = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    chosen: NDArray[np.float64] = vectors[squares.min(axis=1).argmin()]
    return chosen


MADE_OF: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "median": lambda vectors: np.median(vectors, axis=0),
    "trimmed-mean:trimmed-share=0.34": lambda vectors: np.sort(vectors, axis=0)[1],
    "krum:malicious-sites=0": nearest,
}


@pytest.mark.parametrize("strategy", MADE_OF)
def test_each_model_is_what_the_strategy_makes_of_the_sites(homes: Homes, strategy: str) -> None:
    run = run_in_memory(homes, SITES, strategy, rounds=2, min_sites=3, architecture="ecgnet")
    assert run.problem is None
    registry = homes.registry("coordinator")
    versions = [entry.manifest.version for entry in registry.entries()]
    assert len(versions) == 3
    for number, (before, after) in enumerate(pairwise(versions), start=1):
        parts = [
            trained_at(homes, name, before, number, architecture("ecgnet"))[0] for name in SITES
        ]
        expected = MADE_OF[strategy](np.stack(parts).astype(np.float64))
        np.testing.assert_allclose(pack(registry.load(after)[1]), expected, rtol=0, atol=1e-6)
    for name in SITES:
        assert run.joined[name].problem is None
        assert homes.registry(name).current() == run.final
