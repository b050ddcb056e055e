"""Attacks on the secure aggregation of Flower 1.41 (`secaggplus_mod`), with its own functions.

The nodes run Flower's stages unchanged. Only the coordinator differs, as far as an attack says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from flwr.app import ConfigRecord
from flwr.client.mod.secure_aggregation.secaggplus_mod import (
    SecAggPlusState,
    _collect_masked_vectors,
    _setup,
    _share_keys,
    _unmask,
)
from flwr.common import bytes_to_ndarray, ndarrays_to_parameters
from flwr.common.secure_aggregation.crypto.shamir import combine_shares
from flwr.common.secure_aggregation.crypto.symmetric_encryption import (
    decrypt,
    generate_shared_key,
)
from flwr.common.secure_aggregation.quantization import dequantize
from flwr.common.secure_aggregation.secaggplus_constants import Key
from flwr.common.secure_aggregation.secaggplus_utils import (
    pseudo_rand_gen,
    share_keys_plaintext_separate,
)
from flwr.supercore.primitives.asymmetric import bytes_to_private_key, bytes_to_public_key
from numpy.typing import NDArray

MOD_RANGE, TARGET_RANGE, CLIPPING_RANGE, MAX_WEIGHT = 2**32, 2**22, 8.0, 1000.0
EXAMPLES = 1000
FACTOR = TARGET_RANGE
"""First value of a vector before masking: the number of examples as a share of `MAX_WEIGHT`, which
the coordinator knows."""

SEED_BITS = 28
"""Each byte of the seed is the exclusive or of characters of base64, whose highest bit is 0."""

SEARCHED = 16
"""Values of the vector that the search for seeds compares."""


@dataclass
class Round:
    """A round up to the masked vectors. All dictionaries are by node id.

    states : of the nodes. masked : the vectors that the coordinator receives, with the factor as
    the first value.
    """

    states: dict[int, SecAggPlusState]
    masked: dict[int, NDArray[np.int64]]


def _settings(nodes: int, threshold: int) -> ConfigRecord:
    return ConfigRecord(
        {
            Key.SAMPLE_NUMBER: nodes,
            Key.SHARE_NUMBER: nodes,
            Key.THRESHOLD: threshold,
            Key.CLIPPING_RANGE: CLIPPING_RANGE,
            Key.TARGET_RANGE: TARGET_RANGE,
            Key.MOD_RANGE: MOD_RANGE,
            Key.MAX_WEIGHT: MAX_WEIGHT,
        }
    )


def masked_round(updates: Mapping[int, NDArray[np.float64]], threshold: int) -> Round:
    """Run Flower's first three stages with an honest coordinator."""
    settings = _settings(len(updates), threshold)
    states = {node: SecAggPlusState(nid=node) for node in updates}
    keys = {node: _setup(state, settings) for node, state in states.items()}
    public = {
        str(node): [each[Key.PUBLIC_KEY_1], each[Key.PUBLIC_KEY_2]] for node, each in keys.items()
    }
    sent: dict[int, list[tuple[int, bytes]]] = {node: [] for node in states}
    for node, state in states.items():
        shares = _share_keys(state, ConfigRecord(public))
        for to, text in zip(shares[Key.DESTINATION_LIST], shares[Key.CIPHERTEXT_LIST], strict=True):
            sent[to].append((node, text))
    masked = {}
    for node, state in states.items():
        received = ConfigRecord(
            {
                Key.CIPHERTEXT_LIST: [text for _, text in sent[node]],
                Key.SOURCE_LIST: [source for source, _ in sent[node]],
            }
        )
        vectors = _collect_masked_vectors(
            state, received, EXAMPLES, ndarrays_to_parameters([updates[node]])
        )
        parts = [bytes_to_ndarray(part) for part in vectors[Key.MASKED_PARAMETERS]]
        masked[node] = np.concatenate(parts)
    return Round(states, masked)


def unmasked(
    of: Round, active: Sequence[int], dead: Sequence[int]
) -> dict[int, dict[int, list[bytes]]]:
    """Return node -> secrets' owner -> its shares in the order active, dead, as each node sends."""
    request = ConfigRecord({Key.ACTIVE_NODE_ID_LIST: [*active], Key.DEAD_NODE_ID_LIST: [*dead]})
    answers = {}
    for node, state in of.states.items():
        answer = _unmask(state, request)
        owned: dict[int, list[bytes]] = {}
        for owner, share in zip(answer[Key.NODE_ID_LIST], answer[Key.SHARE_LIST], strict=True):
            owned.setdefault(owner, []).append(share)
        answers[node] = owned
    return answers


def read_by_naming_all_active_and_dead(of: Round, victim: int) -> NDArray[np.float64]:
    """Return one node's update: every node hands over shares of both secrets of every node."""
    nodes = list(of.states)
    answers = unmasked(of, nodes, nodes)
    own_seed, masking_key = (
        combine_shares([answers[node][victim][which] for node in nodes]) for which in (0, 1)
    )
    pairs = {
        other: _shared_key(of, masking_key, victim, other) for other in nodes if other != victim
    }
    return _update(of, victim, own_seed, pairs)


def seed_of(of: Round, victim: int, peer: int) -> int:
    """Return the seed of MT19937 that Flower makes of the key of two nodes."""
    key = _shared_key(of, of.states[victim].sk1, victim, peer)
    return int(np.bitwise_xor.reduce(np.frombuffer(key, dtype="<u4")))


def seed_at(number: int) -> int:
    """Return one of the 2^28 seeds that exist: four times seven bits."""
    return sum((number >> 7 * place & 0x7F) << 8 * place for place in range(4))


def number_of(seed: int) -> int:
    """Return the number of a seed; see `seed_at`."""
    return sum((seed >> 8 * place & 0x7F) << 7 * place for place in range(4))


def read_by_trying_seeds(
    of: Round, victim: int, windows: Mapping[int, Sequence[int]]
) -> NDArray[np.float64] | None:
    """Return one node's update from an honest round of three; None if no seeds fit.

    After an honest unmasking, the coordinator knows the victim's own mask. Two seeds are left, one
    for each peer. Their masks are matched in the middle: they must leave the factor, and values of
    a quantised update.

    windows : the seeds to try for each peer; all 2^28 for a real attack.
    """
    answers = unmasked(of, list(of.states), [])
    own_seed = combine_shares([answers[node][victim][0] for node in of.states])
    known = of.masked[victim][:SEARCHED] - _mask(own_seed, SEARCHED)
    first, second = windows
    left, right = (
        np.array([_mask(_bytes(seed), SEARCHED) for seed in windows[peer]])
        * (1 if victim > peer else -1)
        for peer in (first, second)
    )
    order = np.argsort(left[:, 0] % MOD_RANGE)
    ordered = left[order, 0] % MOD_RANGE
    wanted = (known[0] - FACTOR - right[:, 0]) % MOD_RANGE
    begins, ends = np.searchsorted(ordered, wanted), np.searchsorted(ordered, wanted, "right")
    for number in np.flatnonzero(ends > begins):
        for candidate in order[begins[number] : ends[number]]:
            rest = (known - right[number] - left[candidate]) % MOD_RANGE
            if (rest <= TARGET_RANGE).all():
                seeds = {first: windows[first][candidate], second: windows[second][number]}
                pairs = {peer: _bytes(seed) for peer, seed in seeds.items()}
                return _update(of, victim, own_seed, pairs)
    return None


def secrets_by_substituted_keys(threshold: int) -> tuple[bytes, SecAggPlusState]:
    """Return the seed of one node's own mask, as read by a coordinator, and the node's state.

    The coordinator forwards keys of its own as those of the peers, and decrypts the shares for
    them.
    """
    settings = _settings(3, threshold)
    victim = SecAggPlusState(nid=1)
    own = _setup(victim, settings)
    private, keys = {}, {"1": [own[Key.PUBLIC_KEY_1], own[Key.PUBLIC_KEY_2]]}
    for node in (2, 3):
        false = SecAggPlusState(nid=node)
        made = _setup(false, settings)
        private[node] = false.sk2
        keys[str(node)] = [made[Key.PUBLIC_KEY_1], made[Key.PUBLIC_KEY_2]]
    sent = _share_keys(victim, ConfigRecord(keys))
    shares = []
    for to, text in zip(sent[Key.DESTINATION_LIST], sent[Key.CIPHERTEXT_LIST], strict=True):
        key = generate_shared_key(
            bytes_to_private_key(private[to]), bytes_to_public_key(victim.pk2)
        )
        shares.append(share_keys_plaintext_separate(decrypt(key, text))[2])
    return combine_shares(shares), victim


def _shared_key(of: Round, private_key: bytes, victim: int, peer: int) -> bytes:
    public = of.states[victim].public_keys_dict[peer][0]
    return generate_shared_key(bytes_to_private_key(private_key), bytes_to_public_key(public))


def _bytes(seed: int) -> bytes:
    return seed.to_bytes(4, "little")


def _mask(seed: bytes, length: int) -> NDArray[np.int64]:
    """Return the first values of a mask, as the nodes make it: for the factor, then the weights."""
    return np.concatenate(pseudo_rand_gen(seed, MOD_RANGE, [(1,), (length - 1,)]))


def _update(
    of: Round, victim: int, own_seed: bytes, pairs: Mapping[int, bytes]
) -> NDArray[np.float64]:
    """Return the update that is left without the masks of these seeds."""
    vector = of.masked[victim] - _mask(own_seed, len(of.masked[victim]))
    for peer, key in pairs.items():
        mask = _mask(key, len(vector))
        vector = vector - mask if victim > peer else vector + mask
    weights = (vector % MOD_RANGE)[1:]
    return np.asarray(dequantize([weights], CLIPPING_RANGE, TARGET_RANGE)[0])
