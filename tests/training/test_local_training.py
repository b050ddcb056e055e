"""One site's share of a round."""

import numpy as np
import pytest
import torch

from ecgfl_cli.beats.beats import annotated_beats
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.packing import pack
from ecgfl_cli.training.examples import Examples, examples_of
from ecgfl_cli.training.local import (
    LEAST_IN_A_STEP,
    TrainingPlan,
    batch_ends,
    batches,
    measure,
    train,
)

ECGNET = architecture("ecgnet")


@pytest.fixture(scope="module")
def examples() -> Examples:
    records = [synthesise(seed, 60, 360, pvc_share=0.2) for seed in (60, 61)]
    return examples_of(
        [annotated_beats(record, record.leads[:1], ECGNET.window)[0] for record in records], ECGNET
    )


def plan(epochs: int = 1, seed: int = 0) -> TrainingPlan:
    return TrainingPlan(epochs=epochs, learning_rate=1e-3, batch_size=32, seed=seed)


@pytest.mark.parametrize(
    ("examples", "batch_size", "ends"),
    [
        *((0, 128, []), (1, 128, []), (128, 128, []), (256, 128, [128]), (300, 128, [128, 256])),
        *(
            (129, 128, []),
            (128 + LEAST_IN_A_STEP - 1, 128, []),
            (128 + LEAST_IN_A_STEP, 128, [128]),
        ),
        *((257, 128, [128]), (9, 4, [4]), (11, 4, [4]), (12, 4, [4, 8]), (3, 1, [1, 2])),
    ],
)
def test_no_step_sees_a_few_beats_that_are_left_over(
    examples: int, batch_size: int, ends: list[int]
) -> None:
    assert batch_ends(examples, batch_size) == ends
    assert batches(examples, batch_size) == len(ends) + 1


def fresh() -> torch.nn.Module:
    torch.manual_seed(5)
    return ECGNET.build()


def test_training_reduces_the_loss_and_finds_the_pvcs(examples: Examples) -> None:
    network = fresh()
    before = measure(network, [examples])
    last = train(network, ECGNET, examples, plan(epochs=8))
    after = measure(network, [examples])
    assert after.loss < 0.2 * before.loss
    assert last < before.loss
    assert after.sensitivity is not None
    assert after.precision is not None
    assert min(after.sensitivity, after.precision) > 0.9


def test_a_measurement_counts_what_is_there(examples: Examples) -> None:
    measured = measure(fresh(), [examples], threshold=0.0)
    assert measured.beats == len(examples)
    assert measured.pvcs == measured.true_positives == examples.is_pvc.sum() > 0
    assert measured.false_positives == len(examples) - measured.pvcs
    assert measured.sensitivity == 1.0
    assert measure(fresh(), [examples], threshold=1.1).precision is None


def test_measuring_changes_nothing(examples: Examples) -> None:
    network = fresh()
    before = pack(network)
    measure(network, [examples])
    np.testing.assert_array_equal(pack(network), before)


def test_seed_determines_the_weights(examples: Examples) -> None:
    trained = []
    for seed in (1, 1, 2):
        network = fresh()
        train(network, ECGNET, examples, plan(seed=seed))
        trained.append(pack(network))
    np.testing.assert_array_equal(trained[0], trained[1])
    assert not np.array_equal(trained[0], trained[2])


def test_no_epoch_changes_nothing(examples: Examples) -> None:
    network = fresh()
    before = pack(network)
    train(network, ECGNET, examples, plan(epochs=0))
    np.testing.assert_array_equal(pack(network), before)
