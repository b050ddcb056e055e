"""A stolen `server.key`, and honest requests that are sent again.

The thief serves as the coordinator and has every model that the coordinator ever signed, but not
its signing key. No site trains, evaluates or changes its model for the thief.
"""

import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from federation_homes import Homes
from flwr.app import ConfigRecord, RecordDict
from hostile_coordinator import (
    MESSAGE_KINDS,
    HostileCoordinator,
    Request,
    hostile_coordinator,
    joined,
    logged,
    perturbed,
    starter_weights,
)
from node_processes import Processes, contents, told

from ecgfl_cli.federation.coordinator.home import load_signing_key
from ecgfl_cli.federation.messages import SCHEMA_BROKEN, UNTRUSTED, CatchUpRequest, EvaluateRequest
from ecgfl_cli.federation.signed_requests import REQUEST, SIGNATURE
from ecgfl_cli.models.manifest import SignedManifest

pytestmark = pytest.mark.slow

OLD = perturbed(1)


def requests(attacker: HostileCoordinator) -> dict[str, Request]:
    """Return a request of each kind with a model that the coordinator once signed."""
    model, final = attacker.signed(OLD), attacker.signed(OLD, round=3)
    return {
        "train": attacker.training(model),
        "evaluate": EvaluateRequest(model=model),
        "catch-up": CatchUpRequest(model=final),
    }


def of_their_own_key(attacker: HostileCoordinator, content: RecordDict) -> RecordDict:  # noqa: ARG001
    return content


def without_a_signature(attacker: HostileCoordinator, content: RecordDict) -> RecordDict:  # noqa: ARG001
    return RecordDict({**content, "config": ConfigRecord({REQUEST: content["config"][REQUEST]})})  # type: ignore[index, dict-item]


def with_an_empty_signature(attacker: HostileCoordinator, content: RecordDict) -> RecordDict:  # noqa: ARG001
    text = content["config"][REQUEST]  # type: ignore[index]
    return RecordDict({**content, "config": ConfigRecord({REQUEST: text, SIGNATURE: ""})})  # type: ignore[dict-item]


def with_the_models_signature(attacker: HostileCoordinator, content: RecordDict) -> RecordDict:
    """Return the manifest of an old model as the request, with its signature."""
    model: SignedManifest = attacker.signed(OLD)
    config = ConfigRecord({REQUEST: model.manifest, SIGNATURE: model.signature})
    return RecordDict({**content, "config": config})  # type: ignore[dict-item]


def as_a_manifest(attacker: HostileCoordinator, content: RecordDict) -> RecordDict:
    """Return a request that is signed with the right key, but without the prefix of requests."""
    text = str(content["config"][REQUEST])  # type: ignore[index]
    key = attacker.model_key
    assert key is not None
    config = ConfigRecord(
        {REQUEST: text, SIGNATURE: base64.b64encode(key.sign(text.encode())).decode()}
    )
    return RecordDict({**content, "config": config})  # type: ignore[dict-item]


FORGERIES: dict[str, tuple[Callable[[HostileCoordinator, RecordDict], RecordDict], int]] = {
    "of their own key": (of_their_own_key, UNTRUSTED),
    "without a signature": (without_a_signature, SCHEMA_BROKEN),
    "with an empty signature": (with_an_empty_signature, UNTRUSTED),
    "with the model's signature": (with_the_models_signature, UNTRUSTED),
    "as a manifest": (as_a_manifest, UNTRUSTED),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_thief_of_the_server_key_gets_no_answer(
    homes: Homes, processes: Processes, name: str
) -> None:
    forge, code = FORGERIES[name]
    before = contents(homes.site("alice").root)
    with hostile_coordinator(homes, ed25519.Ed25519PrivateKey.generate()) as thief:
        thief.model_key = load_signing_key(homes.coordinator_home)
        for kind, request in requests(thief).items():
            site = joined(thief, processes)
            answer = thief.send(
                forge(thief, thief.sealed(request, OLD)), MESSAGE_KINDS[type(request)]
            )
            assert answer.error.code == code, kind
            site.finish().refused(4)
    assert contents(homes.site("alice").root) == before
    assert [line["code"] for line in logged(homes, "refused")] == [code] * 3
    assert logged(homes, "request") == logged(homes, "send") == []
    assert told(homes.site("alice").root, "audit", "verify").code == 0


def test_a_request_is_answered_once(homes: Homes, processes: Processes) -> None:
    """This also holds after the site has been restarted. No other site answers it."""
    vector = starter_weights()
    with hostile_coordinator(homes) as attacker:
        honest = attacker.sealed(attacker.training(attacker.signed(vector)), vector)
        site = joined(attacker, processes)
        assert not attacker.send(honest, "train").has_error()
        assert attacker.send(honest, "train").error.code == UNTRUSTED
        assert "was answered before" in site.finish().refused(4)
        site = joined(attacker, processes)
        assert attacker.send(honest, "train").error.code == UNTRUSTED
        assert "was answered before" in site.finish().refused(4)
        other = joined(attacker, processes, "bob")
        assert attacker.send(honest, "train", "bob").error.code == UNTRUSTED
        assert "for another site" in other.finish().refused(4)
    assert [line["kind"] for line in logged(homes, "send")] == ["train"]
    assert logged(homes, "send", "bob") == logged(homes, "request", "bob") == []
    assert len(logged(homes, "refused")) == 2


@pytest.mark.parametrize(
    "age", [timedelta(minutes=12), timedelta(days=1), -timedelta(minutes=6)], ids=str
)
def test_expired_or_early_request_is_refused(
    homes: Homes, processes: Processes, age: timedelta
) -> None:
    vector = starter_weights()
    with hostile_coordinator(homes) as attacker:
        site = joined(attacker, processes)
        content = attacker.sealed(EvaluateRequest(model=attacker.signed(vector)), vector, age=age)
        assert attacker.send(content, "evaluate").error.code == UNTRUSTED
        assert "5 minutes of difference are allowed" in site.finish().refused(4)
    assert logged(homes, "request") == []


@pytest.mark.parametrize("age", [timedelta(minutes=10), -timedelta(minutes=4)], ids=str)
def test_clocks_may_differ_by_five_minutes(
    homes: Homes, processes: Processes, age: timedelta
) -> None:
    vector = starter_weights()
    with hostile_coordinator(homes) as attacker:
        site = joined(attacker, processes)
        content = attacker.sealed(EvaluateRequest(model=attacker.signed(vector)), vector, age=age)
        assert not attacker.send(content, "evaluate").has_error()
        site.end()


def test_expired_model_is_refused(homes: Homes, processes: Processes) -> None:
    """A signed request cannot make a site use a model that has expired or has no expiry."""
    with hostile_coordinator(homes) as attacker:
        for changes in (
            {"created": "2020-01-01T00:00:00+00:00", "expires": "2020-12-01T00:00:00+00:00"},
            {"expires": None},
        ):
            site = joined(attacker, processes, max_wait="20s")
            model = attacker.signed(OLD, round=3, **changes)
            assert attacker.ask(CatchUpRequest(model=model), OLD).has_error()
            site.finish().refused(7)
    assert homes.registry("alice").entries() == []
