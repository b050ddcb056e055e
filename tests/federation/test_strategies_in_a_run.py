"""Two sites and a coordinator: each global model is what the strategy makes of theirs."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
from federation_homes import Homes
from memory_runs import MemoryRun, run_in_memory
from node_processes import Ended, Processes
from numpy.typing import NDArray
from test_federated_average import trained_at

from ecgfl_cli.logs import Event
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.packing import pack

pytestmark = pytest.mark.slow
ROUNDS, SITES = 2, ("alice", "bob")
PLAN = ("--rounds", str(ROUNDS), "--arch", "ecgnet")
OPTIONS = {
    "fedprox": ("--strategy", "fedprox", "--proximal-mu", "1"),
    "fedadam": ("--strategy", "fedadam", "--server-learning-rate", "0.02"),
    "fedyogi": ("--strategy", "fedyogi", "--server-learning-rate", "0.02"),
}
IN_MEMORY = {
    "fedprox": "fedprox:proximal-mu=1",
    "fedadam": "fedadam:server-learning-rate=0.02",
    "fedyogi": "fedyogi:server-learning-rate=0.02",
}


def serve(homes: Homes, processes: Processes, strategy: str) -> Ended:
    """The run, or what is left of it, to its end, with processes over TLS."""
    server, port = processes.serve(homes.coordinator, *PLAN, *OPTIONS[strategy])
    joins = [processes.join(homes.site(name).root, port) for name in SITES]
    for join in joins:
        ended = join.finish()
        assert ended.code == 0, ended.said
    served = server.finish()
    assert served.code == 0, served.said
    return served


@pytest.fixture(scope="module")
def ran(copied: Callable[[str], Homes]) -> Callable[[str], MemoryRun]:
    """ran(strategy): its run in memory. It is made once, and no test may change it."""

    @functools.cache
    def run(strategy: str) -> MemoryRun:
        return run_in_memory(
            copied(strategy), SITES, IN_MEMORY[strategy], rounds=ROUNDS, architecture="ecgnet"
        )

    return run


def models(homes: Homes) -> list[tuple[str, NDArray[np.float64]]]:
    registry = homes.registry("coordinator")
    versions = [entry.manifest.version for entry in registry.entries()]
    return [(version, pack(registry.load(version)[1]).astype(np.float64)) for version in versions]


def means(homes: Homes, mu: float = 0.0) -> list[NDArray[np.float64]]:
    """For each round, the mean of what the sites learn, weighted by their examples."""
    found = []
    for number, (version, _) in enumerate(models(homes)[:ROUNDS], start=1):
        parts = [
            trained_at(homes, name, version, number, architecture("ecgnet"), mu) for name in SITES
        ]
        found.append(
            sum(vector.astype(np.float64) * count for vector, count in parts)
            / sum(count for _, count in parts)
        )
    return found


def test_fedprox_averages_sites_that_stayed_near(ran: Callable[[str], MemoryRun]) -> None:
    homes = ran("fedprox").homes
    made = models(homes)
    for (_, after), expected, free in zip(
        made[1:], means(homes, mu=1.0), means(homes), strict=True
    ):
        np.testing.assert_allclose(after, expected, rtol=0, atol=1e-6)
        assert np.abs(after - free).max() > 1e-4, "the proximal term changed nothing"


@pytest.mark.parametrize("strategy", ["fedadam", "fedyogi"])
def test_a_server_optimiser_follows_the_mean_change(
    ran: Callable[[str], MemoryRun], strategy: str
) -> None:
    homes = ran(strategy).homes
    made = models(homes)
    first = second = np.zeros(made[0][1].size)
    told = np.ones(first.size, dtype=np.bool_)
    for number, ((_, before), (_, after), mean) in enumerate(
        zip(made, made[1:], means(homes), strict=False), start=1
    ):
        change = mean - before
        first = 0.9 * first + 0.1 * change
        rate = 0.02
        if strategy == "fedadam":
            second = 0.99 * second + 0.01 * change**2
            rate *= np.sqrt(1 - 0.99 ** (number + 1)) / (1 - 0.9 ** (number + 1))
        else:
            # Where both are nearly equal, the rounding of a mean decides the sign.
            told &= np.abs(second - change**2) > 1e-3 * change**2
            second = second - 0.01 * change**2 * np.sign(second - change**2)
        expected = before + rate * first / (np.sqrt(second) + 0.001)
        np.testing.assert_allclose(after[told], expected[told], rtol=0, atol=2e-6)
        assert told.mean() > 0.99
        assert np.abs(after - mean).max() > 1e-4, "that was FedAvg"


@pytest.mark.parametrize("strategy", OPTIONS)
def test_every_site_ends_with_the_final_model(
    ran: Callable[[str], MemoryRun], strategy: str
) -> None:
    run = ran(strategy)
    assert [each.dropped for each in run.rounds] == [[]] * ROUNDS
    assert {name: joined.final for name, joined in run.joined.items()} == dict.fromkeys(
        SITES, run.final
    )
    for name in ("coordinator", *SITES):
        assert run.homes.registry(name).current() == run.final


def test_killed_fedadam_run_ends_with_the_same_weights(
    ran: Callable[[str], MemoryRun], homes: Homes, processes: Processes
) -> None:
    server, port = processes.serve(homes.coordinator, *PLAN, *OPTIONS["fedadam"])
    joins = [processes.join(homes.site(name).root, port, max_wait="6s") for name in SITES]
    server.wait_for(Event.ROUND_FINISHED, round=1)
    server.kill()
    for join in joins:
        join.finish().refused(4)
    served = serve(homes, processes, "fedadam")
    assert [each["round"] for each in served.result["rounds"]] == [2]
    whole = ran("fedadam")
    final = whole.homes.registry("coordinator").entry(whole.final).manifest
    assert served.result["sha256"] == final.weights_sha256
