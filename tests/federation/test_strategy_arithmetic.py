"""Each strategy computes what its paper says: figures by hand for two rounds of two sites."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from fake_rounds import Rounds
from federation_homes import Homes

from ecgfl_cli.federation.signed_requests import REQUEST

CHANGES = ((0.4, 0.0), (-0.2, 0.0))
"""Every weight at sites with 100 and 300 examples in rounds 1 and 2: means 0.1 and -0.05."""

# Reddi et al., ICLR 2021, algorithm 2, with Flower's beta_1 = 0.9, beta_2 = 0.99, tau = 0.001 and a
# server learning rate of 0.02:
# m_1 = 0.1 x 0.1 = 0.01, m_2 = 0.9 x 0.01 - 0.1 x 0.05 = 0.004.
# Adam: v_1 = 0.01 x 0.01 = 0.0001, v_2 = 0.99 x 0.0001 + 0.01 x 0.0025 = 0.000124. Flower
#   multiplies its rate by
#   sqrt(1 - 0.99^(t+1)) / (1 - 0.9^(t+1)): 0.742460 and 0.635941.
#   0.02 x 0.742460 x 0.01 / (0.01 + 0.001) and 0.02 x 0.635941 x 0.004 / (0.0111355 + 0.001).
# Yogi: v_1 = 0.0001, v_2 = 0.0001 + 0.01 x 0.0025 = 0.000125 (it grows because 0.0025 > v_1).
#   0.02 x 0.01 / (0.01 + 0.001) and 0.02 x 0.004 / (0.0111803 + 0.001).
STEPS = {
    "fedavg": (0.1, -0.05),
    "fedprox": (0.1, -0.05),
    "fedadam": (0.0134993, 0.00419228),
    "fedyogi": (0.0181818, 0.00656796),
}
OPTIONS = {"fedadam": {"server_learning_rate": 0.02}, "fedyogi": {"server_learning_rate": 0.02}}


@pytest.mark.parametrize("strategy", STEPS)
def test_two_rounds_are_as_computed_by_hand(homes: Homes, strategy: str) -> None:
    rounds = Rounds(homes, strategy, **OPTIONS.get(strategy, {}))
    for (small, large), step in zip(CHANGES, STEPS[strategy], strict=True):
        before = rounds.weights
        rounds.begin()
        rounds.aggregate(
            rounds.good(1, before + np.float32(small), 100),
            rounds.good(2, before + np.float32(large), 300),
        )
        np.testing.assert_allclose(rounds.weights - before, step, rtol=0, atol=3e-7)


FIVE = {1: "alice", 2: "bob", 3: "carol", 4: "dave", 5: "erin"}
FIVE_CHANGES = (0.0, 0.1, 0.12, 0.5, 9.0)
"""Of every weight at five sites, whose examples count for nothing here."""

# Median: the third. Trimmed mean with a share of 0.2: (0.1 + 0.12 + 0.5) / 3. Krum with one
# malicious site of five uses 5 - 1 - 2 = 2 neighbours; squared distances for each weight:
# 0: 0.0244, 0.1: 0.0104, 0.12: 0.0148, 0.5: 0.3044, 9: 151.1.
ROBUST_STEPS = {"median": 0.12, "trimmed-mean": 0.24, "krum": 0.1}


@pytest.mark.parametrize("strategy", ROBUST_STEPS)
def test_a_robust_strategy_is_not_moved_by_one_site(homes: Homes, strategy: str) -> None:
    rounds = Rounds(homes, strategy, nodes=FIVE, min_sites=5)
    for number in (1, 2):
        before = rounds.weights
        rounds.begin()
        rounds.aggregate(
            *(
                rounds.good(node, before + np.float32(by), 1000 * node)
                for node, by in zip(FIVE, FIVE_CHANGES, strict=True)
            )
        )
        np.testing.assert_allclose(
            rounds.weights - before, ROBUST_STEPS[strategy], rtol=0, atol=3e-7
        )
        assert rounds.last.round == number
        assert rounds.last.sites == list(FIVE.values())


def test_krum_distinguishes_changes_that_are_small_for_the_weights(homes: Homes) -> None:
    """In single precision the distances of such weights are noise."""
    rounds = Rounds(homes, "krum", nodes=FIVE, min_sites=5)
    before = (rounds.weights * 1000).astype(np.float32)
    for number, by in ((1, 0.0), (2, 0.001)):
        rounds.begin()
        nearest = before + np.float32(by)
        others = (before + np.float32(by + far) for far in (0.001, -0.001, 0.0025, 0.004))
        rounds.aggregate(
            rounds.good(3, nearest),
            *(rounds.good(node, vector) for node, vector in zip((1, 2, 4, 5), others, strict=True)),
        )
        assert np.abs(rounds.weights - nearest).max() < 3e-4, number


def test_the_share_and_the_number_can_be_chosen(copied: Callable[[str], Homes]) -> None:
    for strategy, options, step in (
        ("trimmed-mean", {"trimmed_share": 0.4}, 0.12),
        ("krum", {"malicious_sites": 0}, 0.12),  # three neighbours: 0.1: 0.1704, 0.12: 0.1592
    ):
        rounds = Rounds(copied(strategy), strategy, nodes=FIVE, min_sites=5, **options)
        before = rounds.weights
        rounds.begin()
        rounds.aggregate(
            *(
                rounds.good(node, before + np.float32(by))
                for node, by in zip(FIVE, FIVE_CHANGES, strict=True)
            )
        )
        np.testing.assert_allclose(rounds.weights - before, step, rtol=0, atol=3e-7)


@pytest.mark.parametrize(
    ("strategy", "options", "mu"),
    [
        ("fedavg", {}, 0.0),
        ("fedprox", {}, 0.01),
        ("fedprox", {"proximal_mu": 0.5}, 0.5),
        ("fedyogi", {}, 0.0),
    ],
)
def test_only_fedprox_asks_the_sites_for_a_proximal_term(
    homes: Homes, strategy: str, options: dict[str, float], mu: float
) -> None:
    rounds = Rounds(homes, strategy, **options)
    rounds.begin()
    for request in rounds.requests.values():
        assert json.loads(request.content.texts[REQUEST])["content"]["proximal_mu"] == mu


@pytest.mark.parametrize("strategy", ["fedadam", "fedyogi"])
def test_extreme_weights_move_the_model_by_a_bounded_step(homes: Homes, strategy: str) -> None:
    rounds = Rounds(homes, strategy)
    before = rounds.weights
    for value in (3e38, -3e38, 1.0):
        rounds.begin()
        rounds.aggregate(rounds.good(1, value), rounds.good(2, before))
    moments = rounds.checkpoints.moments
    assert moments is not None
    assert np.isfinite(moments.first).all()
    assert np.isfinite(moments.second).all()
    assert 0 < np.abs(rounds.weights - before).max() < 0.1


def test_a_reply_that_is_dropped_moves_no_moment(homes: Homes) -> None:
    rounds = Rounds(homes, "fedadam")
    before = rounds.weights
    rounds.begin()
    rounds.aggregate(rounds.good(1, before), rounds.good(2, np.nan), rounds.good(3, before))
    np.testing.assert_array_equal(rounds.weights, before)
    assert rounds.last.sites == ["alice", "carol"]
