"""The proximal term pulls a site's weights to those that it received (Li et al., MLSys 2020)."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_site_distrusts_server import Server, server, sound_vector  # noqa: F401

from ecgfl_cli.beats.beats import annotated_beats
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.federation.messages import TrainRequest
from ecgfl_cli.federation.site import local_work
from ecgfl_cli.models.architecture import Architecture, architecture
from ecgfl_cli.models.packing import pack
from ecgfl_cli.training.examples import Examples, examples_of
from ecgfl_cli.training.local import WEIGHT_DECAY, TrainingPlan, batch_ends, train

ECGNET = architecture("ecgnet")
EPOCHS, RATE, BATCH, SEED = 2, 1e-3, 32, 3


@pytest.fixture(scope="module")
def examples() -> Examples:
    record = synthesise(60, 60, 360, pvc_share=0.2)
    return examples_of([annotated_beats(record, record.leads[:1], ECGNET.window)[0]], ECGNET)


def fresh() -> torch.nn.Module:
    torch.manual_seed(5)
    return ECGNET.build()


def trained(examples: Examples, mu: float) -> NDArray[np.float32]:
    network = fresh()
    train(network, ECGNET, examples, TrainingPlan(EPOCHS, RATE, BATCH, SEED, proximal_mu=mu))
    return pack(network)


def by_its_gradient(examples: Examples, mu: float) -> NDArray[np.float32]:
    """The same, with the term's derivative mu (w - w0) added to the gradient."""
    network = fresh()
    start = [weights.detach().clone() for weights in network.parameters()]
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    order = torch.Generator().manual_seed(SEED)
    inputs = [torch.from_numpy(each) for each in examples.inputs()]
    target, weight = torch.from_numpy(examples.kind), torch.from_numpy(examples.weight)
    for _ in range(EPOCHS):
        for batch in torch.tensor_split(
            torch.randperm(len(examples), generator=order), batch_ends(len(examples), BATCH)
        ):
            optimiser.zero_grad()
            logits = network(*(array[batch] for array in inputs))
            losses = torch.nn.functional.cross_entropy(logits, target[batch], reduction="none")
            torch.autograd.backward((weight[batch] * losses).mean())
            for weights, before in zip(network.parameters(), start, strict=True):
                assert weights.grad is not None
                weights.grad += mu * (weights.detach() - before)
            optimiser.step()
    return pack(network)


@pytest.mark.parametrize("mu", [0.0, 0.01, 1.0])
def test_gradient_is_that_of_half_mu_times_squared_distance(examples: Examples, mu: float) -> None:
    np.testing.assert_allclose(
        trained(examples, mu), by_its_gradient(examples, mu), rtol=0, atol=2e-5
    )


def test_the_stronger_the_term_the_nearer_a_site_stays(examples: Examples) -> None:
    start = pack(fresh())
    ways = [float(np.linalg.norm(trained(examples, mu) - start)) for mu in (0.0, 0.1, 1.0, 10.0)]
    assert ways == sorted(ways, reverse=True)
    assert ways[-1] < 0.5 * ways[0]


def test_a_site_trains_with_the_term_that_it_is_asked_for(
    server: Server,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plans: list[TrainingPlan] = []

    def spy(
        network: torch.nn.Module, asked: Architecture, examples: Examples, plan: TrainingPlan
    ) -> float:
        plans.append(plan)
        return train(network, asked, examples, plan)

    monkeypatch.setattr(local_work, "train", spy)
    signed = server.sign(server.manifest(sound_vector()))
    request = TrainRequest(
        model=signed, epochs=1, learning_rate=1e-3, batch_size=256, seed=1, proximal_mu=0.25
    )
    assert server.send(server.seal(request, sound_vector())).figures
    assert [plan.proximal_mu for plan in plans] == [0.25]
