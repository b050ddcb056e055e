"""The coordinator's round is FedAvg: reproduced here from the same start, site by site."""

import numpy as np
import pytest
from conftest import SITES, Finished
from numpy.typing import NDArray

from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.training.dataset import load_dataset
from ecgfl_cli.training.local import TrainingPlan, train

ECGNET = architecture("ecgnet")
SEED_OF_SERVE = 0


def trained_at(finished: Finished, name: str, registry: Registry, start: str, number: int) -> tuple[NDArray[np.float32], int]:
    """A site's weights after its share of round `number`, and its training examples."""
    network = registry.load(start)[1]
    examples = load_dataset(finished.homes.site(name), ECGNET).train
    train(network, examples, TrainingPlan(ECGNET.local_epochs, ECGNET.learning_rate, ECGNET.batch_size, SEED_OF_SERVE + number))
    return pack(network), len(examples)


@pytest.mark.parametrize("number", [1, 2])
def test_a_round_is_the_mean_of_the_sites_weighted_by_their_examples(finished: Finished, number: int) -> None:
    registry = finished.homes.registry("coordinator")
    before, after = (registry.entries()[place].manifest.version for place in (number - 1, number))
    parts = [trained_at(finished, name, registry, before, number) for name in SITES]
    counts = [count for _, count in parts]
    assert len(set(counts)) == len(SITES), "equal sites would not show the weighting"
    expected = sum(vector.astype(np.float64) * count for vector, count in parts) / sum(counts)
    found = pack(registry.load(after)[1])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.abs(found - pack(registry.load(before)[1])).max() > 1e-4, "the round changed nothing"


def test_the_first_model_is_a_fresh_network_of_the_seed(finished: Finished) -> None:
    import torch

    registry = finished.homes.registry("coordinator")
    first = pack(registry.load(registry.entries()[0].manifest.version)[1])
    torch.manual_seed(SEED_OF_SERVE)
    np.testing.assert_array_equal(first, pack(ECGNET.build()))
