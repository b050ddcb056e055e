"""A site's own call is answered as by Flower itself; any other call is not answered."""

import asyncio

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import NOOP_ACCOUNT_NAME, NOOP_FLWR_AID
from flwr.proto import fleet_pb2, heartbeat_pb2, node_pb2
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.client import ProtobufRequestContext
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES
from flwr.superlink.main import create_app
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from starlette.types import ASGIApp, Receive, Scope, Send

from ecgfl_cli.federation.flower.fleet_app import FLEET_CALLS, FLOWER_CALLS, FleetApp

NODE = 7
ENROLLED = ec.generate_private_key(ec.SECP384R1())
Apps = tuple[ASGIApp, ASGIApp]


@pytest.fixture(scope="module")
def apps() -> Apps:
    """Flower's own application and ours; both know the key `ENROLLED` as that of `NODE`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "flwr.server.superlink.linkstate.in_memory_linkstate.generate_rand_int_from_bytes",
            lambda *_, **__: NODE,
        )
        stock, ours = create_app(), FleetApp()
        for state in (stock.state.linkstate_factory.state(), ours.state):
            assert (
                state.create_node(
                    NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, public_key_to_bytes(ENROLLED.public_key()), 30
                )
                == NODE
            )
    return stock, ours


def body(path: str, node: int) -> bytes:
    """A request with which this node makes the call."""
    request = PROTOBUF_REQUEST_TYPES["POST", path]()
    if isinstance(request, fleet_pb2.ActivateNodeRequest):
        request.public_key, request.heartbeat_interval = (
            public_key_to_bytes(ENROLLED.public_key()),
            30,
        )
    elif hasattr(request, "node"):
        request.node.node_id = node
    else:
        request.node_id = node
    return bytes(request.SerializeToString())


def call(path: str, content: bytes, kind: str = PROTOBUF_MEDIA_TYPE) -> httpx.Request:
    """Signed as Flower signs it."""
    request = httpx.Request(
        "POST", f"https://localhost{path}", content=content, headers={"Content-Type": kind}
    )
    context = ProtobufRequestContext("", fleet_pb2.ActivateNodeRequest(), request)
    NodeAuthHttpInterceptor(ENROLLED, ENROLLED.public_key()).intercept(
        context, lambda _: httpx.Response(200)
    )
    return request


def answers(apps: Apps, request: httpx.Request) -> list[tuple[int, bytes, str]]:
    """Status, content and content type of Flower's own application, and of ours."""

    async def ours(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"node": NODE}
        await apps[1](scope, receive, send)

    async def ask(app: ASGIApp) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
            return await client.send(request)

    responses = [asyncio.run(ask(app)) for app in (apps[0], ours)]
    return [
        (each.status_code, each.content, each.headers["content-type"].partition(";")[0])
        for each in responses
    ]


@pytest.mark.parametrize("path", FLOWER_CALLS)
def test_own_call(apps: Apps, path: str) -> None:
    stock, ours = answers(apps, call(path, body(path, NODE)))
    assert ours == stock
    assert ours[0] != 401


@pytest.mark.parametrize("path", sorted(FLEET_CALLS))
def test_call_in_the_name_of_another_node(apps: Apps, path: str) -> None:
    content = body(path, NODE + 1)
    if path.endswith("/activate-node"):
        other = ec.generate_private_key(ec.SECP384R1()).public_key()
        request = fleet_pb2.ActivateNodeRequest(
            public_key=public_key_to_bytes(other), heartbeat_interval=30
        )
        content = request.SerializeToString()
    assert [answer[0] for answer in answers(apps, call(path, content))] == [401, 401]


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"\xff" * 50, PROTOBUF_MEDIA_TYPE), (b"", PROTOBUF_MEDIA_TYPE), (b"{}", "application/json")],
)
@pytest.mark.parametrize("path", sorted(FLEET_CALLS))
def test_what_is_no_call(apps: Apps, path: str, content: bytes, kind: str) -> None:
    stock, ours = answers(apps, call(path, content, kind))
    assert ours[0] == stock[0]
    assert 400 <= ours[0] < 500


def test_heartbeat_interval_is_bounded(apps: Apps) -> None:
    """With an interval of half an hour a silent site would be taken for a connected one as long."""
    request = heartbeat_pb2.SendNodeHeartbeatRequest(
        node=node_pb2.Node(node_id=NODE), heartbeat_interval=1800
    )
    ours = apps[1]
    assert isinstance(ours, FleetApp)
    ours.state.activate_node(NODE, 30)
    ours.answer("/v1/fleet/send-node-heartbeat", NODE, request)
    assert ours.state.nodes[NODE].heartbeat_interval == 30
