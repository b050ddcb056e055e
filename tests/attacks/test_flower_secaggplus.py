"""Why ecgfl has its own secure aggregation: attacks that succeed on Flower's.

`tests/federation/test_secure_protocol.py` makes the same attempts on ecgfl's.
"""

import flower_secaggplus as flower
import numpy as np
import pytest
from numpy.typing import NDArray

from ecgfl_cli.federation.secagg.primitives import mask

NODES = (11, 12, 13)
VICTIM = 12
WINDOW = 2048
"""Seeds that the test tries for each peer, around the right one. A real attack tries 2^28."""


@pytest.fixture
def updates() -> dict[int, NDArray[np.float64]]:
    random = np.random.default_rng(0)
    return {node: random.normal(0, 0.05, 2000) for node in NODES}


def test_a_node_named_active_and_dead_is_read(updates: dict[int, NDArray[np.float64]]) -> None:
    of = flower.masked_round(updates, threshold=3)
    read = flower.read_by_naming_all_active_and_dead(of, VICTIM)
    np.testing.assert_allclose(read, updates[VICTIM], atol=1e-5)


def test_a_threshold_of_one_is_accepted(updates: dict[int, NDArray[np.float64]]) -> None:
    of = flower.masked_round(updates, threshold=1)
    assert flower.unmasked(of, [VICTIM], [])[NODES[0]].keys() == {VICTIM}


def test_substituted_keys_are_accepted() -> None:
    seed, victim = flower.secrets_by_substituted_keys(threshold=2)
    assert seed == victim.rd_seed


def test_an_honest_round_is_read_by_trying_seeds(
    updates: dict[int, NDArray[np.float64]],
) -> None:
    of = flower.masked_round(updates, threshold=3)
    windows = {}
    for peer in (11, 13):
        seed = flower.seed_of(of, VICTIM, peer)
        number = flower.number_of(seed)
        assert flower.seed_at(number) == seed, "one of 2^28"
        first = max(0, number - WINDOW // 2)
        windows[peer] = [flower.seed_at(each) for each in range(first, first + WINDOW)]
    read = flower.read_by_trying_seeds(of, VICTIM, windows)
    assert read is not None
    np.testing.assert_allclose(read, updates[VICTIM], atol=1e-5)
    elsewhere = {peer: [flower.seed_at(number) for number in range(WINDOW)] for peer in windows}
    assert flower.read_by_trying_seeds(of, VICTIM, elsewhere) is None


def test_the_masks_of_ecgfl_depend_on_every_bit_of_their_secret() -> None:
    """Flower's mask depends only on the exclusive or of the words of the key."""
    secret = bytes(range(32))
    swapped = secret[4:8] + secret[:4] + secret[8:]
    usual = mask(secret, b"round", 1000)
    assert not np.array_equal(mask(swapped, b"round", 1000), usual)
    assert not np.array_equal(mask(secret, b"another round", 1000), usual)
    for bit in range(256):
        changed = (int.from_bytes(secret, "little") ^ 1 << bit).to_bytes(32, "little")
        assert np.count_nonzero(mask(changed, b"round", 1000) == usual) < 3
