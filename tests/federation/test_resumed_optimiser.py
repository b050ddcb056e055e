"""A killed run of a server optimiser continues exactly: its state is stored with the weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_rounds import Rounds
from federation_homes import Homes
from numpy.typing import NDArray

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.models.registry import Registry

ROUNDS = 4
OPTIMISERS = pytest.mark.parametrize("strategy", ["fedadam", "fedyogi"])


class Killed(Exception):
    pass


def start(homes: Homes, strategy: str, **options: float) -> Rounds:
    return Rounds(homes, strategy, rounds=ROUNDS, **options)


def play(rounds: Rounds, until: int) -> None:
    """Train to the end of round `until`.

    A site's reply depends only on the round, the site and the weights.
    """
    while (number := rounds.checkpoints.latest.manifest.round + 1) <= until:
        rounds.begin()
        before, drawn = rounds.weights, np.random.default_rng(number)
        replies = []
        for node in (1, 2):
            change = drawn.normal(0, 0.02, before.size).astype(np.float32)
            replies.append(rounds.good(node, 0.99 * before + change, 100 * node))
        rounds.aggregate(*replies)


def uninterrupted(homes: Homes, strategy: str) -> list[NDArray[np.float32]]:
    """The weights after each round, of a run in another home."""
    rounds, weights = start(homes, strategy), []
    for number in range(1, ROUNDS + 1):
        play(rounds, number)
        weights.append(rounds.weights)
    return weights


def states(homes: Homes) -> list[Path]:
    return sorted(path for path in homes.coordinator_home.optimiser.rglob("*") if path.is_file())


@pytest.fixture
def other(copied: Callable[[str], Homes]) -> Homes:
    return copied("other")


@OPTIMISERS
@pytest.mark.parametrize("killed_after", [0, 1, 2, 3])
def test_a_resumed_run_ends_with_the_very_same_weights(
    homes: Homes, other: Homes, strategy: str, killed_after: int
) -> None:
    play(start(homes, strategy), killed_after)
    resumed = start(homes, strategy)
    assert resumed.checkpoints.resumed
    play(resumed, ROUNDS)
    np.testing.assert_array_equal(resumed.weights, uninterrupted(other, strategy)[-1])


@OPTIMISERS
def test_without_its_state_it_would_not(homes: Homes, other: Homes, strategy: str) -> None:
    """That the test above can fail."""
    play(start(homes, strategy), 2)
    resumed = start(homes, strategy)
    optimiser = resumed.aggregator._optimiser  # type: ignore[attr-defined]
    optimiser.m_t = optimiser.v_t = None
    play(resumed, ROUNDS)
    assert np.abs(resumed.weights - uninterrupted(other, strategy)[-1]).max() > 1e-3


@OPTIMISERS
@pytest.mark.parametrize("model_is_there", [False, True])
def test_kill_between_state_and_model_costs_at_most_the_round(
    homes: Homes, other: Homes, strategy: str, model_is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = start(homes, strategy)
    play(rounds, 2)
    add = Registry.add

    def killed(*arguments: object) -> None:
        if model_is_there:
            add(*arguments)  # type: ignore[arg-type]
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "add", killed)
        with pytest.raises(Killed):
            play(rounds, 3)
    assert len(states(homes)) == 2
    resumed = start(homes, strategy)
    assert resumed.checkpoints.latest.manifest.round == (3 if model_is_there else 2)
    play(resumed, ROUNDS)
    np.testing.assert_array_equal(resumed.weights, uninterrupted(other, strategy)[-1])
    assert [path.stem for path in states(homes)] == [resumed.checkpoints.latest.manifest.version]


def test_fedavg_keeps_no_state(homes: Homes) -> None:
    play(start(homes, "fedavg"), 2)
    assert states(homes) == []


@pytest.mark.parametrize(
    ("begun", "then"), [("fedavg", "fedadam"), ("fedadam", "fedyogi"), ("fedyogi", "fedavg")]
)
def test_another_strategy_begins_a_new_run_from_the_model(
    homes: Homes, begun: str, then: str
) -> None:
    before = start(homes, begun)
    play(before, 2)
    left = before.checkpoints.latest.manifest
    after = start(homes, then)
    assert (after.checkpoints.resumed, after.checkpoints.abandoned) == (False, left)
    assert (after.checkpoints.latest.manifest.round, after.checkpoints.latest.manifest.parent) == (
        0,
        left.version,
    )
    assert after.checkpoints.moments is None
    np.testing.assert_array_equal(after.weights, before.weights)
    play(after, 1)
    assert [path.stem for path in states(homes)] == (
        [] if then == "fedavg" else [after.checkpoints.latest.manifest.version]
    )


def test_a_run_whose_state_is_lost_is_not_gone_on_with(homes: Homes) -> None:
    play(start(homes, "fedadam"), 2)
    states(homes)[0].unlink()
    assert start(homes, "fedadam").checkpoints.abandoned is not None


def test_another_step_goes_on_with_the_run(homes: Homes) -> None:
    play(start(homes, "fedadam"), 1)
    assert start(homes, "fedadam", server_learning_rate=0.02).checkpoints.resumed


def test_a_new_run_after_a_finished_one_begins_without_moments(homes: Homes) -> None:
    play(start(homes, "fedadam"), ROUNDS)
    after = start(homes, "fedadam")
    assert (after.checkpoints.resumed, after.checkpoints.moments, after.checkpoints.abandoned) == (
        False,
        None,
        None,
    )


@pytest.mark.parametrize(
    "damage", ["empty", "cut", "text", "shorter", "nan", "float32", "negative"]
)
def test_a_damaged_state_is_named(homes: Homes, damage: str) -> None:
    from safetensors.numpy import load, save

    play(start(homes, "fedadam"), 1)
    (path,) = states(homes)
    data = path.read_bytes()
    tensors, named = load(data), {"strategy": "fedadam"}
    broken = {
        "empty": lambda: b"",
        "cut": lambda: data[:-8],
        "text": lambda: b"hello",
        "shorter": lambda: save({**tensors, "first": tensors["first"][1:]}, named),
        "nan": lambda: save({**tensors, "first": tensors["first"] * np.nan}, named),
        "float32": lambda: save(
            {name: array.astype(np.float32) for name, array in tensors.items()}, named
        ),
        "negative": lambda: save({**tensors, "second": tensors["second"] - 1.0}, named),
    }
    path.write_bytes(broken[damage]())
    with pytest.raises(UnusableInput, match=path.name):
        start(homes, "fedadam")
