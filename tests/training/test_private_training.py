"""Differentially private training: each unit changes the sum by at most the clip; noise is new."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ecgfl_cli.models.architecture import Architecture, architecture
from ecgfl_cli.models.packing import pack
from ecgfl_cli.training.examples import Examples
from ecgfl_cli.training.private import mechanism
from ecgfl_cli.training.private.clipping import Read, clipped, patient_sums, row_sums
from ecgfl_cli.training.private.mechanism import train_privately
from ecgfl_cli.training.private.plan import PrivatePlan
from ecgfl_cli.training.private.random_stream import RandomStream

PATIENTS, BEATS, CLIP = 12, 30, 0.5
PLAN = PrivatePlan("patient", 2.0, 0.5, 3, CLIP, "all", PATIENTS, 1e-3)


def examples_for(network: Architecture) -> Examples:
    """Random beats of patients with different numbers of beats, in mixed order."""
    random = np.random.default_rng(5)
    count = PATIENTS * BEATS
    widths = tuple({"context": 17}.get(name, network.window.length) for name in network.inputs)
    return Examples(
        rows=random.normal(size=(count, sum(widths))).astype(np.float32),
        widths=widths,
        kind=random.integers(0, network.kinds, count),
        weight=random.uniform(0.1, 2.0, count).astype(np.float32),
        patient=random.choice(PATIENTS, count, p=np.arange(1, PATIENTS + 1) / 78),
    )


@pytest.fixture(params=["ecgnet", "beatnet"])
def network(request: pytest.FixtureRequest) -> Architecture:
    return architecture(request.param)


def prepared(network: Architecture, trained: str) -> tuple[nn.Module, list[nn.Parameter]]:
    torch.manual_seed(3)
    built = network.build()
    built.train()
    mechanism._switch_dropout_off(built)
    return built, mechanism._trained_parameters(built, network, trained)  # type: ignore[arg-type]


def reader(network: Architecture, examples: Examples) -> Read:
    return mechanism._ExampleReader(examples, replace(network, augmented=False), RandomStream())


@pytest.mark.parametrize("trained", ["last-layer", "head", "all"])
def test_any_patient_changes_the_sum_by_at_most_the_clip(
    network: Architecture, trained: str
) -> None:
    examples = examples_for(network)
    built, parameters = prepared(network, trained)
    sums = patient_sums(built, parameters, reader(network, examples), examples, CLIP)
    everybody = np.unique(examples.patient)
    total = sums(everybody)
    changes = [
        float(torch.linalg.vector_norm(total - sums(everybody[everybody != patient])))
        for patient in everybody
    ]
    assert max(changes) <= CLIP * (1 + 1e-6)
    assert max(changes) > CLIP * 0.99  # the gradients are larger than the clip


@pytest.mark.parametrize("trained", ["last-layer", "all"])
def test_any_row_changes_the_sum_by_at_most_the_clip(network: Architecture, trained: str) -> None:
    examples = examples_for(network)
    built, parameters = prepared(network, trained)
    sums = row_sums(built, parameters, reader(network, examples), CLIP)
    rows = np.arange(40)
    total = sums(rows)
    changes = [
        float(torch.linalg.vector_norm(total - sums(np.delete(rows, row)))) for row in range(10)
    ]
    assert max(changes) <= CLIP * (1 + 1e-4)
    assert max(changes) > CLIP * 0.9


def test_ghost_clipping_agrees_with_single_gradients(network: Architecture) -> None:
    examples = examples_for(network)
    built, parameters = prepared(network, "all")
    read = reader(network, examples)
    expected = torch.zeros(sum(each.numel() for each in parameters), dtype=torch.float64)
    for row in range(25):
        inputs, kinds = read(np.array([row]))
        gradients = torch.autograd.grad(cross_entropy(built(*inputs), kinds), parameters)
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients]).double()
        expected += clipped(flat, CLIP)
    total = row_sums(built, parameters, read, CLIP)(np.arange(25))
    assert total.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_a_patient_counts_the_same_beside_others(network: Architecture) -> None:
    """Weights, and the number of rows, of other patients have no influence."""
    examples = examples_for(network)
    built, parameters = prepared(network, "head")
    alone = examples.patient == 7
    other_weights = np.where(alone, examples.weight, 9.0).astype(np.float32)
    first, second = (
        patient_sums(built, parameters, reader(network, each), each, CLIP)(np.array([7]))
        for each in (examples, replace(examples, weight=other_weights))
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("unit", ["patient", "row"])
def test_the_same_training_twice_has_other_noise(network: Architecture, unit: str) -> None:
    examples = examples_for(network)
    plan = replace(PLAN, unit=unit, nominal_units=PATIENTS if unit == "patient" else 360)
    trained = []
    for _ in range(2):
        torch.manual_seed(3)  # a coordinator's seed has no influence
        built = network.build()
        train_privately(built, network, examples, plan, np.arange(PATIENTS))
        trained.append(pack(built))
    assert not np.allclose(trained[0], trained[1], atol=1e-6)


def test_noise_alone_moves_the_weights_when_nobody_is_sampled(network: Architecture) -> None:
    built, _ = prepared(network, "all")
    before = pack(built)
    plan = replace(PLAN, sampling=1e-12)
    train_privately(built, network, examples_for(network), plan, np.arange(PATIENTS))
    assert not np.array_equal(pack(built), before)


@pytest.mark.parametrize("trained", ["last-layer", "head"])
def test_only_the_named_part_is_trained(network: Architecture, trained: str) -> None:
    built, parameters = prepared(network, trained)
    before = {name: value.clone() for name, value in built.state_dict().items()}
    plan = replace(PLAN, trained=trained)
    train_privately(built, network, examples_for(network), plan, np.arange(PATIENTS))
    changed = {
        name for name, value in built.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {name for name in before if name.startswith(network.parts[trained])}
    assert 0 < len(parameters) < len(before)


def test_only_the_patients_with_budget_are_used(
    network: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = examples_for(network)
    used: set[int] = set()
    inputs = Examples.inputs

    def watched(self: Examples, rows: np.ndarray | None = None) -> object:
        assert rows is not None
        used.update(self.patient[rows].tolist())
        return inputs(self, rows)

    monkeypatch.setattr(Examples, "inputs", watched)
    for unit in ("patient", "row"):
        plan = replace(PLAN, unit=unit, sampling=1.0, nominal_units=5)
        train_privately(network.build(), network, examples, plan, np.array([2, 5, 9]))
    assert used == {2, 5, 9}


def test_random_stream() -> None:
    stream = RandomStream()
    noise = stream.normal(400_000)
    assert abs(noise.mean()) < 0.01
    assert noise.std() == pytest.approx(1, abs=0.01)
    assert np.mean(np.abs(noise) > 2) == pytest.approx(0.0455, abs=0.002)
    assert stream.sampled(100_000, 0.3).mean() == pytest.approx(0.3, abs=0.01)
    assert stream.sampled(1000, 1.0).all()
    assert not np.array_equal(RandomStream().normal(10), RandomStream().normal(10))
