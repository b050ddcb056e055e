"""The protocol of secure aggregation: exact sums, and refusals of a hostile coordinator."""

from collections.abc import Callable, Collection

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray
from pydantic import ValidationError
from secure_sites import Parties, parties

from ecgfl_cli.errors import ModelRejected, PolicyRefused, RequestRefused
from ecgfl_cli.federation.secagg.agreement import Agreement, RoundMember, usual_threshold
from ecgfl_cli.federation.secagg.coordinator_side import SumLost
from ecgfl_cli.federation.secagg.primitives import public_hex, sign
from ecgfl_cli.federation.secagg.site_side import KEYS, SURVIVORS, SiteRound, survivors_bytes
from ecgfl_cli.federation.secagg.stages import PeerKeys, SharesRequest, UnmaskRequest
from ecgfl_cli.site.keys import fingerprint_of, key_bytes

LENGTH = 1000
START = np.ones(LENGTH, np.float32)


def change_of(name: str) -> NDArray[np.float64]:
    return np.random.default_rng(int(name[:8], 16)).normal(0, 0.05, LENGTH)


def share(of: Parties, without: Collection[str] = ()) -> None:
    request = of.coordinator.shares_request()
    for name in of.names:
        if name not in without:
            of.coordinator.take_shares(name, of.sides[name].shares(request))


def train(of: Parties, without: Collection[str] = ()) -> None:
    for name in of.names:
        if name not in without:
            part = of.coordinator.training_for(name, 10.0)
            of.sides[name].open_shares(part)
            of.coordinator.updates[name] = of.sides[name].masked(part, change_of(name), START)


def sign_survivors(of: Parties, without: Collection[str] = ()) -> None:
    request = of.coordinator.survivors_request()
    for name in of.coordinator.survivors:
        if name not in without:
            of.coordinator.take_signature(name, of.sides[name].survivors(request))


def unmask(of: Parties, without: Collection[str] = ()) -> None:
    request = of.coordinator.unmask_request()
    for name in of.coordinator.signatures:
        if name not in without:
            of.coordinator.take_unmasking(name, of.sides[name].unmask(request))


def signed_by_all(of: Parties) -> None:
    share(of)
    train(of)
    sign_survivors(of)


@pytest.mark.parametrize("count", [3, 7, 20])
def test_the_sum_is_exact(count: int) -> None:
    weights = tuple(1 + place % 3 for place in range(count))
    of = parties(count, weights)
    signed_by_all(of)
    unmask(of)
    expected = sum(
        weight * change_of(name) for weight, name in zip(weights, of.names, strict=True)
    ) / sum(weights)
    error = np.abs(of.coordinator.unmasked_mean() - expected).max()
    assert error * sum(weights) / max(weights) < 1e-6


def test_one_masked_update_says_nothing() -> None:
    of = parties(3)
    share(of)
    train(of)
    for name, masked in of.coordinator.updates.items():
        steps = masked.astype(np.int32) / 2.0**31
        assert abs(np.corrcoef(steps, change_of(name))[0, 1]) < 0.15
        assert 0.53 < steps.std() < 0.62  # uniform: 1 / sqrt(3)


@pytest.mark.parametrize("stage", ["shares", "training", "survivors", "unmasking"])
def test_the_sum_survives_sites_that_are_lost(stage: str) -> None:
    of = parties(7)
    lost = of.names[1:3]
    share(of, lost if stage == "shares" else ())
    remaining = [name for name in of.names if name in of.coordinator.shares]
    train_without = set(of.names) - set(remaining) | set(lost if stage == "training" else ())
    train(of, train_without)
    sign_survivors(of, lost if stage == "survivors" else ())
    unmask(of, lost if stage == "unmasking" else ())
    counted = of.coordinator.survivors
    expected = np.mean([change_of(name) for name in counted], axis=0)
    assert len(counted) == (5 if stage in ("shares", "training") else 7)
    np.testing.assert_allclose(of.coordinator.unmasked_mean(), expected, atol=1e-6)


def test_a_wrong_share_is_found_and_left_out() -> None:
    of = parties(7)
    share(of)
    train(of, of.names[:1])
    sign_survivors(of)
    unmask(of)
    liar = of.names[3]
    shares = of.coordinator.unmasking[liar]
    of.coordinator.unmasking[liar] = shares.model_copy(
        update={"own_masks": ["00" * 16] * 6, "masking_keys": ["00" * 16]}
    )
    expected = np.mean([change_of(name) for name in of.names[1:]], axis=0)
    np.testing.assert_allclose(of.coordinator.unmasked_mean(), expected, atol=1e-6)
    for other in of.names[4:6]:
        of.coordinator.unmasking[other] = of.coordinator.unmasking[liar]
    with pytest.raises(SumLost, match=of.names[1]):
        of.coordinator.unmasked_mean()


@pytest.mark.parametrize("place", [0, 10, 19])
def test_a_liar_among_many_sites_is_found(place: int) -> None:
    of = parties(20)
    signed_by_all(of)
    unmask(of)
    liar = of.names[place]
    shares = of.coordinator.unmasking[liar]
    of.coordinator.unmasking[liar] = shares.model_copy(update={"own_masks": ["00" * 16] * 20})
    expected = np.mean([change_of(name) for name in of.names], axis=0)
    np.testing.assert_allclose(of.coordinator.unmasked_mean(), expected, atol=1e-6)


def forge(of: Parties, victim: str, **changes: object) -> SharesRequest:
    """Return the request for shares with other keys of one site."""
    request = of.coordinator.shares_request()
    peers = [
        peer.model_copy(update={"keys": peer.keys.model_copy(update=changes)})
        if peer.site == victim
        else peer
        for peer in request.peers
    ]
    return request.model_copy(update={"peers": peers})


@pytest.mark.parametrize("name", ["sealing", "masking", "commitment"])
def test_a_substituted_key_is_refused(name: str) -> None:
    of = parties(3)
    own, victim, _ = of.names
    request = forge(of, victim, **{name: public_hex(X25519PrivateKey.generate())})
    with pytest.raises(RequestRefused, match=victim):
        of.sides[own].shares(request)


def test_a_site_that_the_coordinator_invents_is_refused() -> None:
    of = parties(3)
    own, victim, _ = of.names
    fake = ec.generate_private_key(ec.SECP384R1())
    keys = of.sides[victim].keys
    data = keys.signed_bytes(of.agreement.digest, victim)
    forged = PeerKeys(
        site=victim,
        node_key=key_bytes(fake.public_key()).hex(),
        keys=keys.model_copy(update={"signature": sign(fake, KEYS, data)}),
    )
    request = of.coordinator.shares_request()
    peers = [forged if peer.site == victim else peer for peer in request.peers]
    with pytest.raises(RequestRefused, match=victim):
        of.sides[own].shares(request.model_copy(update={"peers": peers}))
    invented = fingerprint_of(fake.public_key())
    members = sorted(
        [*of.agreement.members, RoundMember(site=invented)], key=lambda each: each.site
    )
    agreement = of.agreement.model_copy(update={"members": members})
    with pytest.raises(PolicyRefused, match=invented) as refused:
        SiteRound(agreement, of.keys[own], own, of.names)
    assert refused.value.exit_code == 5


def test_other_models_for_other_sites_are_refused() -> None:
    of = parties(3)
    own, victim, _ = of.names
    other = of.agreement.model_copy(update={"manifest_sha256": "2" * 64})
    keys = SiteRound(other, of.keys[victim], victim, of.names).keys
    with pytest.raises(RequestRefused, match=victim):
        of.sides[own].shares(forge(of, victim, **keys.model_dump()))


def test_a_share_that_was_changed_is_refused() -> None:
    of = parties(3)
    share(of)
    own, victim, _ = of.names
    part = of.coordinator.training_for(own, 10.0)
    sealed = [
        each[:-1] + ("0" if each[-1] != "0" else "1") if site == victim else each
        for site, each in zip(part.sites, part.sealed, strict=True)
    ]
    with pytest.raises(RequestRefused, match=victim):
        of.sides[own].open_shares(part.model_copy(update={"sealed": sealed}))


def test_a_share_for_another_site_is_refused() -> None:
    of = parties(3)
    share(of)
    own, other, _ = of.names
    part = of.coordinator.training_for(other, 10.0)
    with pytest.raises(RequestRefused, match="does not decrypt"):
        of.sides[own].open_shares(part)


def test_each_stage_happens_once() -> None:
    of = parties(3)
    signed_by_all(of)
    own = of.names[0]
    side, coordinator = of.sides[own], of.coordinator
    unmask(of)
    part = coordinator.training_for(own, 10.0)
    repeated: list[Callable[[], object]] = [
        lambda: side.shares(coordinator.shares_request()),
        lambda: side.open_shares(part),
        lambda: side.masked(part, change_of(own), START),
        lambda: side.survivors(coordinator.survivors_request()),
        lambda: side.unmask(coordinator.unmask_request()),
    ]
    for stage in repeated:
        with pytest.raises(RequestRefused, match="twice"):
            stage()


def test_a_site_is_not_unmasked_as_survivor_and_as_lost() -> None:
    of = parties(4)
    share(of)
    train(of)
    own, victim = of.names[:2]
    alive = of.coordinator.survivors_request()
    lost = alive.model_copy(update={"survivors": [name for name in of.names if name != victim]})
    of.sides[own].survivors(alive)
    with pytest.raises(RequestRefused):
        of.sides[own].survivors(lost)
    # The others sign the second list, and the first site must not unmask by their signatures.
    for name in of.names[2:]:
        of.coordinator.signatures[name] = of.sides[name].survivors(lost)
    data = survivors_bytes(of.agreement.digest, alive.survivors)
    own_signature = sign(of.keys[own], SURVIVORS, data)
    signers = [own, *of.names[2:]]
    signatures = [own_signature] + [
        of.coordinator.signatures[name].signature for name in of.names[2:]
    ]
    request = UnmaskRequest(agreement=of.coordinator.digest, signers=signers, signatures=signatures)
    with pytest.raises(RequestRefused, match=of.names[2]):
        of.sides[own].unmask(request)


@pytest.mark.parametrize("fault", ["too-few", "twice", "stranger", "forged"])
def test_unmasking_needs_enough_signatures(fault: str) -> None:
    of = parties(4)
    signed_by_all(of)
    request = of.coordinator.unmask_request()
    signers, signatures = [*request.signers], [*request.signatures]
    if fault == "too-few":
        signers, signatures = signers[:2], signatures[:2]
    elif fault == "twice":
        signers, signatures = [signers[0]] * 4, [signatures[0]] * 4
    elif fault == "stranger":
        signers[3] = "f" * 64
    else:
        signatures[3] = signatures[2]
    changed = request.model_copy(update={"signers": signers, "signatures": signatures})
    side = of.sides[of.names[0]]
    with pytest.raises(RequestRefused):
        side.unmask(changed)
    side.unmask(request)  # the refusal has not used up the unmasking


def test_too_few_survivors_are_not_signed() -> None:
    of = parties(4)
    share(of)
    train(of, of.names[2:])
    with pytest.raises(RequestRefused, match="at least 3"):
        of.sides[of.names[0]].survivors(of.coordinator.survivors_request())


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 1},
        {"threshold": 2},
        {"threshold": 5},
        {"members": lambda members: members[:2]},
        {"members": lambda members: [members[0], *members]},
        {"members": lambda members: members[::-1]},
    ],
    ids=["one", "two-thirds", "more-than-all", "two-sites", "a-site-twice", "unsorted"],
)
def test_an_unsafe_agreement_is_refused(changes: dict[str, object]) -> None:
    fields = parties(4).agreement.model_dump()
    for name, value in changes.items():
        fields[name] = value(fields[name]) if callable(value) else value
    with pytest.raises(ValidationError):
        Agreement.model_validate(fields)


def test_the_usual_threshold_is_more_than_two_thirds() -> None:
    assert [usual_threshold(count) for count in (3, 4, 5, 6, 10, 50)] == [3, 3, 4, 5, 7, 34]


@pytest.mark.parametrize("value", [np.nan, np.inf, 30.0])
def test_a_change_that_the_ring_cannot_carry_is_not_sent(value: float) -> None:
    of = parties(3)
    share(of)
    own = of.names[0]
    part = of.coordinator.training_for(own, 10.0)
    of.sides[own].open_shares(part)
    change = change_of(own)
    change[17] = value
    with pytest.raises(ModelRejected, match="nothing was sent"):
        of.sides[own].masked(part, change, START)


def test_an_update_of_too_large_a_norm_is_not_sent() -> None:
    of = parties(3)
    share(of)
    own = of.names[0]
    part = of.coordinator.training_for(own, 2.0)
    of.sides[own].open_shares(part)
    with pytest.raises(ModelRejected, match="norm"):
        of.sides[own].masked(part, 3 * np.ones(LENGTH), START)


def test_a_key_of_small_order_is_left_out() -> None:
    of = parties(3)
    victim = of.names[1]
    keys = of.sides[victim].keys.model_copy(update={"masking": "00" * 32})
    data = keys.signed_bytes(of.agreement.digest, victim)
    signed = keys.model_copy(update={"signature": sign(of.keys[victim], KEYS, data)})
    with pytest.raises(ValueError, match="shared key"):
        of.coordinator.take_keys(victim, signed)


def test_one_site_does_not_have_most_of_the_weight() -> None:
    with pytest.raises(ValidationError, match="weight"):
        RoundMember(site="0" * 64, weight=4)
