"""The coordinator's round is FedAvg: reproduced here from the same start, site by site."""

import numpy as np
import pytest
from federation_homes import SITES, Homes
from node_processes import told
from numpy.typing import NDArray
from shared_runs import Finished

from ecgfl_cli.models.architecture import DEFAULT, Architecture, architecture
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.training.dataset import load_dataset
from ecgfl_cli.training.local import TrainingPlan, train

SEED_OF_SERVE = 0


def trained_at(
    homes: Homes, name: str, start: str, number: int, wanted: Architecture, mu: float = 0.0
) -> tuple[NDArray[np.float32], int]:
    """Train at a site for round `number` of two, from the model `start`.

    Returns the weights and the number of training examples.
    """
    network = homes.registry("coordinator").load(start)[1]
    examples = load_dataset(homes.site(name), wanted).train
    rate = wanted.learning_rate if number == 1 else wanted.last_learning_rate
    plan = TrainingPlan(
        wanted.local_epochs, rate, wanted.batch_size, SEED_OF_SERVE + number, proximal_mu=mu
    )
    train(network, wanted, examples, plan)
    return pack(network), len(examples)


@pytest.mark.parametrize("number", [1, 2])
def test_round_is_the_mean_of_the_sites_weighted_by_examples(
    finished: Finished, number: int
) -> None:
    registry = finished.homes.registry("coordinator")
    before, after = (registry.entries()[place].manifest.version for place in (number - 1, number))
    parts = [
        trained_at(finished.homes, name, before, number, architecture(DEFAULT)) for name in SITES
    ]
    counts = [count for _, count in parts]
    assert len(set(counts)) == len(SITES), "equal sites would not show the weighting"
    expected = sum(vector.astype(np.float64) * count for vector, count in parts) / sum(counts)
    found = pack(registry.load(after)[1])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.abs(found - pack(registry.load(before)[1])).max() > 1e-4, "the round changed nothing"


def test_the_first_model_is_the_starter_model(finished: Finished) -> None:
    registry, starter = finished.homes.registry("coordinator"), starter_registry()
    first = pack(registry.load(registry.entries()[0].manifest.version)[1])
    np.testing.assert_array_equal(first, pack(starter.load(starter.current() or "")[1]))


def test_from_scratch_the_first_model_is_a_network_of_the_seed(homes: Homes) -> None:
    import torch

    serve = (
        "coordinator",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--quorum-timeout",
        "100ms",
        "--from-scratch",
    )
    told(homes.coordinator, *serve).refused(4)
    registry = homes.registry("coordinator")
    first = pack(registry.load(registry.entries()[0].manifest.version)[1])
    torch.manual_seed(SEED_OF_SERVE)
    np.testing.assert_array_equal(first, pack(architecture(DEFAULT).build()))
