"""From outside: Flower's Fleet API answers enrolled sites, and nothing else answers anybody."""

import http.client
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from itertools import product

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto import control_pb2, fab_pb2, fleet_pb2, node_pb2, run_pb2, runtime_pb2
from flwr.supercore.constant import FLWR_PACKAGE_VERSION_METADATA_KEY
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from google.protobuf.message import Message
from shared_runs import Waiting

from ecgfl_cli.federation.connection import call_signature
from ecgfl_cli.federation.connection.call_signature import sign_call
from ecgfl_cli.federation.flower import PROTOCOL, PROTOCOL_HEADER, authenticated_calls, fleet_app
from ecgfl_cli.federation.flower.fleet_client import FleetClient
from ecgfl_cli.site.keys import key_bytes, load_node_key

HEADERS = {"content-type": "application/protobuf", "accept": "application/protobuf"}
KEY = ec.generate_private_key(ec.SECP384R1())
PULL = "/v1/fleet/pull-messages"
SIGNED = {**HEADERS, **sign_call(KEY, "", "POST", PULL, b"", 0.0)}
"""By a key that nobody has enrolled."""

CLOSED = sorted(
    path for _, path in PROTOBUF_REQUEST_TYPES if path not in authenticated_calls.FLEET_CALLS
)
OTHERS = (
    "/",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/health",
    "/v1/health",
    "/metrics",
    "/v1/runtime/responses",
    "/v1/fleet/",
)
REAL: dict[str, Message] = {
    "/v1/control/register-node": control_pb2.RegisterNodeRequest(
        public_key=public_key_to_bytes(KEY.public_key()), name="mallory"
    ),
    "/v1/control/start-run": control_pb2.StartRunRequest(
        fab=fab_pb2.Fab(hash_str="0" * 64, content=b"PK")
    ),
    "/v1/control/list-nodes": control_pb2.ListNodesRequest(),
    "/v1/control/list-runs": control_pb2.ListRunsRequest(),
    "/v1/runtime/acquire-task": runtime_pb2.AcquireTaskRequest(),
    "/v1/runtime/get-nodes": runtime_pb2.GetNodesRequest(),
    "/v1/fleet/register-node": fleet_pb2.RegisterNodeFleetRequest(
        public_key=public_key_to_bytes(KEY.public_key())
    ),
    "/v1/fleet/unregister-node": fleet_pb2.UnregisterNodeFleetRequest(node_id=1),
    "/v1/fleet/get-fab": fab_pb2.GetFabRequest(hash_str="0" * 64, run_id=1),
}


def context_of(waiting: Waiting) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=waiting.homes.federation.ca_certificate)


@pytest.fixture
def outside(waiting: Waiting) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"https://localhost:{waiting.port}", verify=context_of(waiting), trust_env=False
    ) as client:
        yield client


OPENED: list[FleetHttpClient] = []
"""Clients of the test that runs."""


@pytest.fixture(autouse=True)
def clients_are_closed() -> Iterator[None]:
    """Close the clients after each test."""
    yield
    while OPENED:
        OPENED.pop().close()


def node(waiting: Waiting, key: ec.EllipticCurvePrivateKey) -> FleetClient:
    federation = waiting.homes.federation
    authority = federation.ca_certificate.encode()
    client = FleetClient(
        f"localhost:{waiting.port}", authority, key, federation.signing_public_key, None
    )
    OPENED.append(client)
    return client


def stock_node(waiting: Waiting, key: ec.EllipticCurvePrivateKey) -> FleetHttpClient:
    """Flower's own client, whose signature covers a time alone."""
    authority = waiting.homes.federation.ca_certificate.encode()
    interceptors = [NodeAuthHttpInterceptor(key, key.public_key())]
    client = FleetHttpClient.from_server_address(
        f"localhost:{waiting.port}", False, authority, interceptors=interceptors
    )
    OPENED.append(client)
    return client


def test_flowers_closed_paths_are_known() -> None:
    assert len([path for path in CLOSED if path.startswith("/v1/control/")]) > 20
    assert len([path for path in CLOSED if path.startswith("/v1/runtime/")]) > 10
    assert set(REAL) <= {*CLOSED}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_everything_but_the_fleet_api_is_not_found(outside: httpx.Client, method: str) -> None:
    for path in (*CLOSED, *OTHERS):
        response = outside.request(method, path, headers=HEADERS)
        assert (path, response.status_code, response.content) == (path, 404, b"")


@pytest.mark.parametrize("path", REAL)
def test_request_for_control_or_registration_is_not_found(outside: httpx.Client, path: str) -> None:
    assert (
        outside.post(path, content=REAL[path].SerializeToString(), headers=HEADERS).status_code
        == 404
    )


@pytest.mark.parametrize(
    "path",
    [
        "/v1/fleet/../control/list-nodes",
        "/v1/fleet/%2e%2e/control/list-nodes",
        "//v1/control/list-nodes",
        "/v1/control//list-nodes",
        "/v1/fleet/activate-node/../../control/list-nodes",
        "/V1/CONTROL/list-nodes",
        "/v1/control/list-nodes?/v1/fleet/activate-node",
        "/v1/fleet/activate-node/",
        "https://localhost/v1/control/list-nodes",
    ],
)
def test_no_spelling_of_a_path_gets_around_it(waiting: Waiting, path: str) -> None:
    connection = http.client.HTTPSConnection(
        "localhost", waiting.port, context=context_of(waiting), timeout=10
    )
    connection.request(
        "POST", path, body=control_pb2.ListNodesRequest().SerializeToString(), headers=HEADERS
    )
    assert connection.getresponse().status in (400, 404)
    connection.close()


@pytest.mark.parametrize("path", sorted(authenticated_calls.FLEET_CALLS))
def test_a_fleet_call_without_a_key_is_refused(outside: httpx.Client, path: str) -> None:
    empty = PROTOBUF_REQUEST_TYPES["POST", path]().SerializeToString()
    assert outside.post(path, content=empty, headers=HEADERS).status_code == 401
    assert outside.get(path).status_code == 405


def test_an_unknown_key_is_activated_by_nobody(waiting: Waiting) -> None:
    request = fleet_pb2.ActivateNodeRequest(
        public_key=public_key_to_bytes(KEY.public_key()), heartbeat_interval=30
    )
    with pytest.raises(httpx.HTTPStatusError) as refused:
        node(waiting, KEY).ActivateNode(request)
    assert 400 <= refused.value.response.status_code < 500
    with pytest.raises(httpx.HTTPStatusError) as refused:
        node(waiting, KEY).PullMessages(
            fleet_pb2.PullMessagesRequest(node=node_pb2.Node(node_id=1))
        )
    assert refused.value.response.status_code == 401


def test_public_key_of_an_enrolled_site_is_not_enough(
    waiting: Waiting, outside: httpx.Client
) -> None:
    enrolled = load_node_key(waiting.homes.site("alice")).public_key()
    request = fleet_pb2.ActivateNodeRequest(
        public_key=public_key_to_bytes(enrolled), heartbeat_interval=30
    )
    body, path = request.SerializeToString(), "/v1/fleet/activate-node"
    signed = sign_call(
        KEY, waiting.homes.federation.signing_public_key, "POST", path, body, time.time()
    )
    forged = {**HEADERS, **signed, call_signature.KEY: b64encode(key_bytes(enrolled)).decode()}
    assert outside.post(path, content=body, headers=forged).status_code == 401


def test_signature_of_a_time_alone_is_not_enough(waiting: Waiting) -> None:
    key = load_node_key(waiting.homes.site("alice"))
    request = fleet_pb2.ActivateNodeRequest(
        public_key=public_key_to_bytes(key.public_key()), heartbeat_interval=30
    )
    with pytest.raises(httpx.HTTPStatusError) as refused:
        stock_node(waiting, key).ActivateNode(request)
    assert refused.value.response.status_code == 401


def test_a_site_cannot_read_the_messages_of_another(waiting: Waiting) -> None:
    ids = {}
    for name in ("alice", "bob"):
        key = load_node_key(waiting.homes.site(name))
        request = fleet_pb2.ActivateNodeRequest(
            public_key=public_key_to_bytes(key.public_key()), heartbeat_interval=30
        )
        ids[name] = node(waiting, key).ActivateNode(request).node_id
    alice = node(waiting, load_node_key(waiting.homes.site("alice")))
    try:
        alice.PullMessages(fleet_pb2.PullMessagesRequest(node=node_pb2.Node(node_id=ids["alice"])))
        for call, request in (
            (
                alice.PullMessages,
                fleet_pb2.PullMessagesRequest(node=node_pb2.Node(node_id=ids["bob"])),
            ),
            (alice.GetRun, run_pb2.GetRunRequest(node=node_pb2.Node(node_id=ids["bob"]), run_id=1)),
            (alice.DeactivateNode, fleet_pb2.DeactivateNodeRequest(node_id=ids["bob"])),
        ):
            with pytest.raises(httpx.HTTPStatusError) as refused:
                call(request)
            assert refused.value.response.status_code == 401
    finally:
        for name, node_id in ids.items():
            key = load_node_key(waiting.homes.site(name))
            node(waiting, key).DeactivateNode(fleet_pb2.DeactivateNodeRequest(node_id=node_id))


def test_garbage_is_answered_and_not_fatal(waiting: Waiting, outside: httpx.Client) -> None:
    key, coordinator = (
        load_node_key(waiting.homes.site("alice")),
        waiting.homes.federation.signing_public_key,
    )
    for path, body in product(
        sorted(authenticated_calls.FLEET_CALLS), (b"\xff" * 1000, b"", b"{}")
    ):
        signed = sign_call(key, coordinator, "POST", path, body, time.time())
        for headers in (HEADERS, {**HEADERS, **signed}, signed):
            status = outside.post(path, content=body, headers=headers).status_code
            # A part that nobody has announced is not read at all.
            assert 400 <= status < 500 or (path == fleet_app.PUSH_OBJECT and status == 200)
    assert waiting.server.code is None


def test_plain_http_is_not_spoken(waiting: Waiting) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{waiting.port}/", trust_env=False)


def test_body_that_is_too_long_is_refused_before_it_is_read(outside: httpx.Client) -> None:
    too_much = b"\0" * (authenticated_calls.LARGEST_CALL + 1)
    assert outside.post(PULL, content=too_much, headers=SIGNED).status_code == 413


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.30.0", 426), ("2.41.0", 426), ("1.4", 426), ("", 426), ("1.41.9", 401)],
)
def test_another_flower_version_is_refused(
    outside: httpx.Client, version: str, status: int
) -> None:
    signed = {**SIGNED, FLWR_PACKAGE_VERSION_METADATA_KEY: version}
    assert outside.post(PULL, content=b"", headers=signed).status_code == status


@pytest.mark.parametrize(
    ("protocol", "status"), [("0", 426), ("2", 426), ("", 426), (PROTOCOL, 401)]
)
def test_another_protocol_is_refused(outside: httpx.Client, protocol: str, status: int) -> None:
    signed = {**SIGNED, PROTOCOL_HEADER: protocol}
    assert outside.post(PULL, content=b"", headers=signed).status_code == status
