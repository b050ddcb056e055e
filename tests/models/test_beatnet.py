"""The network is small and deterministic, and one beat does not affect another's result."""

import math

import pytest
import torch
from torch import Tensor

from ecgfl_cli.beats.beats import CONTEXT_FIELDS
from ecgfl_cli.models.architectures.beatnet import ARCHITECTURE, WINDOW
from ecgfl_cli.models.inference import logits

MOST_WEIGHTS = 150_000


def inputs(beats: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return (
        torch.randn(beats, WINDOW.length),
        torch.randn(beats, WINDOW.length),
        torch.randn(beats, len(CONTEXT_FIELDS)),
    )


def test_it_is_small() -> None:
    assert (
        sum(weights.numel() for weights in ARCHITECTURE.build().state_dict().values())
        <= MOST_WEIGHTS
    )


def test_a_beat_does_not_depend_on_those_beside_it() -> None:
    network = ARCHITECTURE.build().eval()
    beats = inputs(64)
    with torch.inference_mode():
        together = network(*beats)
        alone = torch.cat(
            [network(*(each[place : place + 1] for each in beats)) for place in range(64)]
        )
    torch.testing.assert_close(together, alone)


def test_nothing_but_weights_is_in_its_state() -> None:
    network = ARCHITECTURE.build()
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}


def test_the_same_seed_gives_the_same_weights() -> None:
    def built(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([weights.flatten() for weights in ARCHITECTURE.build().parameters()])

    assert torch.equal(built(0), built(0))
    assert not torch.equal(built(0), built(1))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_every_input_matters(place: int) -> None:
    network = ARCHITECTURE.build().eval()
    beats = list(inputs(16))
    before = network(*beats)
    beats[place] = beats[place] + 1
    assert not torch.allclose(network(*beats), before)


def test_v_is_weighed_against_all_that_is_not() -> None:
    """Of three kinds as likely as each other and V the odds are 1 to 3."""
    network = ARCHITECTURE.build()
    with torch.no_grad():
        for weights in network.parameters():
            weights.zero_()
    found = logits(network, [each.numpy() for each in inputs(3)])
    assert found.tolist() == pytest.approx([-math.log(3)] * 3, abs=1e-6)
