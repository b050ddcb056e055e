"""Three sites and a coordinator over TLS, once with each strategy that withstands a bad site."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from federation_homes import SITES, Homes
from node_processes import Processes
from numpy.typing import NDArray
from test_federated_average import trained_at

from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.packing import pack

pytestmark = pytest.mark.slow


def nearest(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Krum of three sites, of which none is malicious: each is scored by its one nearest neighbour."""
    squares = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    chosen: NDArray[np.float64] = vectors[squares.min(axis=1).argmin()]
    return chosen


STRATEGIES: dict[
    str, tuple[tuple[str, ...], Callable[[NDArray[np.float64]], NDArray[np.float64]]]
] = {
    "median": ((), lambda vectors: np.median(vectors, axis=0)),
    "trimmed-mean": (("--trimmed-share", "0.34"), lambda vectors: np.sort(vectors, axis=0)[1]),
    "krum": (("--malicious-sites", "0"), nearest),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_global_model_is_what_the_strategy_makes_of_the_sites(
    homes: Homes, processes: Processes, strategy: str
) -> None:
    options, made_of = STRATEGIES[strategy]
    plan = (
        "--rounds",
        "2",
        "--min-sites",
        "3",
        "--arch",
        "ecgnet",
        "--strategy",
        strategy,
        *options,
    )
    server, port = processes.serve(homes.coordinator, *plan)
    joins = [processes.join(homes.site(name).root, port) for name in SITES]
    assert [join.finish().code for join in joins] == [0, 0, 0]
    served = server.finish()
    assert served.code == 0, served.said
    registry = homes.registry("coordinator")
    versions = [entry.manifest.version for entry in registry.entries()]
    for number, (before, after) in enumerate(pairwise(versions), start=1):
        parts = [
            trained_at(homes, name, before, number, architecture("ecgnet"))[0] for name in SITES
        ]
        expected = made_of(np.stack(parts).astype(np.float64))
        np.testing.assert_allclose(pack(registry.load(after)[1]), expected, rtol=0, atol=1e-6)
    for name in SITES:
        assert homes.registry(name).current() == served.result["model"]
