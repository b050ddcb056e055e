"""A coordinator accepts a signed call once, in time, unchanged, and only if signed for it."""

import hashlib
import time
from collections.abc import Callable

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto import fleet_pb2
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from shared_runs import Waiting
from test_public_port import HEADERS, context_of

from ecgfl_cli.federation.connection import call_signature
from ecgfl_cli.federation.connection.call_signature import CallNotSigned, read_head, sign_call
from ecgfl_cli.federation.connection.clock import CLOCK_LIMIT_SECONDS
from ecgfl_cli.federation.flower import authenticated_calls
from ecgfl_cli.federation.flower.authenticated_calls import Members, Refused
from ecgfl_cli.site.keys import load_node_key

KEY = ec.generate_private_key(ec.SECP384R1())
OURS, OTHERS = "key-of-this-coordinator", "key-of-another"
PATH, NODE, BODY = "/v1/fleet/pull-messages", 7, b"body"


def head(now: float, **changed: str) -> call_signature.SignedHead:
    signed = sign_call(KEY, OURS, "POST", PATH, BODY, now) | changed
    return read_head({name.encode(): value.encode() for name, value in signed.items()})


@pytest.fixture
def members() -> Members:
    known = Members(OURS)
    known.add(KEY.public_key(), NODE)
    return known


@pytest.fixture
def refused(members: Members) -> Callable[..., int]:
    def check(signed: call_signature.SignedHead, method: str = "POST", path: str = PATH) -> int:
        with pytest.raises(Refused) as raised:
            members.check(signed, method, path)
        return raised.value.status

    return check


def test_signed_call_is_taken_once(members: Members, refused: Callable[..., int]) -> None:
    signed = head(time.time())
    assert members.check(signed, "POST", PATH) == NODE
    assert refused(signed) == 401


def test_for_another_call(refused: Callable[..., int]) -> None:
    assert refused(head(time.time()), path="/v1/fleet/push-object") == 401
    assert refused(head(time.time()), method="PUT") == 401
    digest = hashlib.sha256(b"another body").hexdigest()
    assert refused(head(time.time(), **{call_signature.BODY: digest})) == 401


def test_for_another_coordinator() -> None:
    others = Members(OTHERS)
    others.add(KEY.public_key(), NODE)
    with pytest.raises(Refused):
        others.check(head(time.time()), "POST", PATH)


@pytest.mark.parametrize("seconds", [-CLOCK_LIMIT_SECONDS - 2, CLOCK_LIMIT_SECONDS + 2, 1e9, -1e9])
def test_out_of_time(refused: Callable[..., int], seconds: float) -> None:
    assert refused(head(time.time() + seconds)) == 401


@pytest.mark.parametrize("seconds", [-CLOCK_LIMIT_SECONDS + 5, CLOCK_LIMIT_SECONDS - 5])
def test_within_the_time_that_clocks_may_differ(
    members: Members, refused: Callable[..., int], seconds: float
) -> None:
    signed = head(time.time() + seconds)
    assert members.check(signed, "POST", PATH) == NODE
    assert refused(signed) == 401


def test_a_call_is_remembered_for_as_long_as_it_is_valid(
    members: Members, refused: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    ahead = head(now + CLOCK_LIMIT_SECONDS - 1)
    assert members.check(ahead, "POST", PATH) == NODE
    for later in (1, CLOCK_LIMIT_SECONDS, 2 * CLOCK_LIMIT_SECONDS - 2):
        monkeypatch.setattr(authenticated_calls.time, "time", lambda later=later: now + later)
        assert members.check(head(now + later), "POST", PATH) == NODE
        assert refused(ahead) == 401


def test_more_calls_than_a_site_makes(
    members: Members, refused: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authenticated_calls, "MOST_CALLS", 3)
    for _ in range(3):
        members.check(head(time.time()), "POST", PATH)
    assert refused(head(time.time())) == 429


def test_a_site_that_was_removed(members: Members, refused: Callable[..., int]) -> None:
    members.remove(NODE)
    assert refused(head(time.time())) == 401


@pytest.mark.parametrize(
    "name",
    [call_signature.KEY, call_signature.SIGNATURE, call_signature.TIME, call_signature.NONCE],
)
@pytest.mark.parametrize("value", ["", "x", "=" * 100, "9" * 5000, "-1", "nan", "1e9", "\u0661"])
def test_a_header_that_is_none(members: Members, name: str, value: str) -> None:
    signed = {**sign_call(KEY, OURS, "POST", PATH, BODY, time.time()), name: value}
    headers = {each.encode(): text.encode() for each, text in signed.items()}
    try:
        found = read_head(headers)
    except CallNotSigned:
        return
    with pytest.raises(Refused):
        members.check(found, "POST", PATH)


def test_a_recorded_call_is_refused_by_a_real_coordinator(waiting: Waiting) -> None:
    """A call without effect: its heartbeat interval is none."""
    key, coordinator = (
        load_node_key(waiting.homes.site("alice")),
        waiting.homes.federation.signing_public_key,
    )
    path = "/v1/fleet/activate-node"
    body = fleet_pb2.ActivateNodeRequest(
        public_key=public_key_to_bytes(key.public_key()), heartbeat_interval=-1
    )
    content = body.SerializeToString()
    signed = {**HEADERS, **sign_call(key, coordinator, "POST", path, content, time.time())}
    with httpx.Client(
        base_url=f"https://localhost:{waiting.port}", verify=context_of(waiting), trust_env=False
    ) as outside:
        assert outside.post(path, content=content, headers=signed).status_code == 400
        assert outside.post(path, content=content, headers=signed).status_code == 401
        for_another = {**HEADERS, **sign_call(key, OTHERS, "POST", path, content, time.time())}
        assert outside.post(path, content=content, headers=for_another).status_code == 401
        fresh = {**HEADERS, **sign_call(key, coordinator, "POST", path, content, time.time())}
        assert outside.post(path, content=content + b"\0", headers=fresh).status_code == 401
        fresh = {**HEADERS, **sign_call(key, coordinator, "POST", path, content, time.time())}
        assert outside.post(path, content=iter([content]), headers=fresh).status_code == 411
    assert waiting.server.code is None
