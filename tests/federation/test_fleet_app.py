"""Without Flower's web layers the Fleet API answers as with them."""

import asyncio
from itertools import product

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import NOOP_ACCOUNT_NAME, NOOP_FLWR_AID
from flwr.proto import fleet_pb2
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.client import ProtobufRequestContext
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES
from flwr.superlink.main import create_app
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from starlette.types import ASGIApp

from ecgfl_cli.federation.flower.fleet_app import ANSWERS, FleetApp

NODE = 7
ENROLLED, UNKNOWN = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
Apps = tuple[ASGIApp, ASGIApp]


@pytest.fixture(scope="module")
def apps() -> Apps:
    """Flower's own application and ours; both know the key `ENROLLED` as that of `NODE`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flwr.server.superlink.linkstate.in_memory_linkstate.generate_rand_int_from_bytes", lambda *_, **__: NODE)
        stock, ours = create_app(), FleetApp()
        for state in (stock.state.linkstate_factory.state(), ours.state):
            assert state.create_node(NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, public_key_to_bytes(ENROLLED.public_key()), 30) == NODE
    return stock, ours


def body(path: str, node: int) -> bytes:
    """A request with which this node makes the call."""
    request = PROTOBUF_REQUEST_TYPES["POST", path]()
    if isinstance(request, fleet_pb2.ActivateNodeRequest):
        request.public_key, request.heartbeat_interval = public_key_to_bytes(ENROLLED.public_key()), 30
    elif hasattr(request, "node"):
        request.node.node_id = node
    else:
        request.node_id = node
    return bytes(request.SerializeToString())


def call(
    path: str, content: bytes, key: ec.EllipticCurvePrivateKey | None, method: str = "POST", kind: str = PROTOBUF_MEDIA_TYPE
) -> httpx.Request:
    request = httpx.Request(method, f"https://localhost{path}", content=content, headers={"Content-Type": kind})
    if key is not None:
        context = ProtobufRequestContext("", fleet_pb2.ActivateNodeRequest(), request)
        NodeAuthHttpInterceptor(key, key.public_key()).intercept(context, lambda _: httpx.Response(200))
    return request


def answers(apps: Apps, request: httpx.Request) -> list[tuple[int, bytes, str]]:
    """Status, content and its type: of Flower's own application, and of ours."""

    async def ask(app: ASGIApp) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
            return await client.send(request)

    responses = [asyncio.run(ask(app)) for app in apps]
    return [(each.status_code, each.content, each.headers["content-type"].partition(";")[0]) for each in responses]


@pytest.mark.parametrize("path", ANSWERS)
def test_a_nodes_own_call(apps: Apps, path: str) -> None:
    stock, ours = answers(apps, call(path, body(path, NODE), ENROLLED))
    assert ours == stock
    assert ours[0] != 401


@pytest.mark.parametrize(("path", "key"), list(product(ANSWERS, (None, UNKNOWN))))
def test_a_call_of_somebody_else(apps: Apps, path: str, key: ec.EllipticCurvePrivateKey | None) -> None:
    stock, ours = answers(apps, call(path, body(path, NODE), key))
    assert ours == stock
    assert ours[0] == 401


@pytest.mark.parametrize("path", ANSWERS)
def test_a_call_in_the_name_of_another_node(apps: Apps, path: str) -> None:
    key = UNKNOWN if path.endswith("/activate-node") else ENROLLED
    stock, ours = answers(apps, call(path, body(path, NODE + 1), key))
    assert ours == stock
    assert ours[0] == 401


@pytest.mark.parametrize(
    ("content", "method", "kind"),
    [
        (b"\xff" * 50, "POST", PROTOBUF_MEDIA_TYPE),
        (b"", "POST", PROTOBUF_MEDIA_TYPE),
        (b"{}", "POST", "application/json"),
        (b"", "GET", PROTOBUF_MEDIA_TYPE),
    ],
)
def test_what_is_no_call(apps: Apps, content: bytes, method: str, kind: str) -> None:
    for path in ANSWERS:
        stock, ours = answers(apps, call(path, content, ENROLLED, method, kind))
        assert ours == stock
        assert 400 <= ours[0] < 500


@pytest.mark.parametrize("path", ["/v1/fleet/get-fab", "/v1/control/list-nodes", "/v1/runtime/get-nodes", "/docs", "/health"])
def test_there_is_nothing_else(apps: Apps, path: str) -> None:
    assert answers(apps, call(path, b"", ENROLLED))[1][0] == 404
