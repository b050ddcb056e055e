"""A site's line to the coordinator: Flower's Fleet API, without the bundle and without the stock node's `sys.exit`."""

import hashlib
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2, node_pb2, run_pb2
from flwr.supercore.error import FlowerError
from flwr.supercore.inflatable.inflatable_object import (
    UnexpectedObjectContentError,
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectPushError,
    pull_and_inflate_object_from_tree,
    push_object_contents_from_iterable,
)
from flwr.supercore.interceptors.http.utils import add_headers
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from ecgfl_cli.errors import ServerRefused, ServerUnreachable
from ecgfl_cli.federation.flower import APPLICATION, HEARTBEAT_SECONDS, quieten

quieten()

RETRIED_STATUS = (502, 503, 504)
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 10.0
HEARTBEAT_PERIOD_SECONDS = HEARTBEAT_SECONDS * 0.6
FIRST_LOOK_SECONDS = 0.05
"""Until a message's parts are looked for again; Flower's own second is the longer part of a round."""

ACTIVATION_FAILED = 2004
RUN_NOT_ALLOWED = 2007
VERSION_INCOMPATIBLE = 1001

Response = TypeVar("Response")


class RunOver(Exception):
    """The coordinator says that the run is not running (any more)."""


class _VersionHeaders:
    """Tells the coordinator our Flower version. Flower's own interceptor ends the process when they differ."""

    def __init__(self) -> None:
        self._headers = dict(RuntimeVersionMetadata.from_local_component("SuperNode").as_metadata())

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        add_headers(context.request, self._headers)
        return call_next(context)


@dataclass(frozen=True)
class Incoming:
    """A message as it was offered: its head, and the tree of the objects that make up its content."""

    head: Message
    tree: message_pb2.ObjectTree

    @property
    def run_id(self) -> int:
        return self.head.metadata.run_id


@dataclass(frozen=True)
class Outgoing:
    """A reply as it leaves the site: its head, and its content in parts, by their names."""

    head: message_pb2.Message
    tree: message_pb2.ObjectTree
    objects: dict[str, bytes]

    @property
    def size(self) -> int:
        """Bytes of content."""
        return sum(len(part) for part in self.objects.values())

    @property
    def sha256(self) -> str:
        """Of all parts, in the order of their names."""
        digest = hashlib.sha256()
        for name in sorted(self.objects):
            digest.update(self.objects[name])
        return digest.hexdigest()


class FleetConnection:
    """One authenticated session of a site with the coordinator; a context manager that activates and deactivates the node.

    Parameters
    ----------
    server : "HOST:PORT".
    ca : the coordinator's CA certificate, PEM; None speaks plain HTTP (towards a loopback address only, which the caller checks).
    key : the site's node key, ECDSA P-384.
    patience : seconds for which a call is repeated while the server does not answer.

    Every call raises `ServerUnreachable` or `ServerRefused`; those about a run also `RunOver`.
    """

    def __init__(self, server: str, ca: bytes | None, key: ec.EllipticCurvePrivateKey, patience: float) -> None:
        self._server, self._patience = server, patience
        self._public_key = public_key_to_bytes(key.public_key())
        self._client = FleetHttpClient.from_server_address(
            server,
            ca is None,
            ca,
            interceptors=[_VersionHeaders(), NodeAuthHttpInterceptor(key, key.public_key())],
        )
        self._node = node_pb2.Node()
        self._heartbeat = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._left = threading.Event()

    def __enter__(self) -> "FleetConnection":
        request = fleet_pb2.ActivateNodeRequest(public_key=self._public_key, heartbeat_interval=HEARTBEAT_SECONDS)
        self._node = node_pb2.Node(node_id=self._call(self._client.ActivateNode, request).node_id)
        if not self._node.node_id:
            raise self._no_coordinator("it gave this site no node id")
        self._heartbeat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        try:
            self._client.DeactivateNode(fleet_pb2.DeactivateNodeRequest(node_id=self._node.node_id))
        except (httpx.HTTPError, RuntimeError):
            self._client.close()  # the coordinator is gone; it will notice by the missing heartbeat
        self._heartbeat.join(timeout=1)

    @property
    def node_id(self) -> int:
        return self._node.node_id

    def receive(self) -> "Incoming | None":
        """The next message, not yet fetched, or None while there is none."""
        response = self._call(self._client.PullMessages, fleet_pb2.PullMessagesRequest(node=self._node))
        if not response.messages_list:
            return None
        return Incoming(message_from_proto(response.messages_list[0]), response.message_object_trees[0])

    def is_ours(self, run_id: int) -> bool:
        """Whether the run is one of an ecgfl coordinator. Raises `RunOver` when it has ended."""
        run = self._call(self._client.GetRun, run_pb2.GetRunRequest(node=self._node, run_id=run_id)).run
        return bool(run.fab_id == APPLICATION)

    def fetch(self, incoming: "Incoming") -> Message:
        """Fetch the content of a received message."""
        run_id, tree = incoming.run_id, incoming.tree
        try:
            message = self._inflate(run_id, tree)
        except (ObjectPullError, UnexpectedObjectContentError, ValueError, TypeError) as error:
            raise self._no_coordinator(f"a message whose content is broken ({type(error).__name__})") from error
        message.metadata.__dict__["_message_id"] = tree.object_id
        return message

    def _inflate(self, run_id: int, tree: message_pb2.ObjectTree) -> Message:
        return pull_and_inflate_object_from_tree(
            tree,
            make_pull_object_fn_protobuf(self._retrying(self._client.PullObject), self._node, run_id),
            make_confirm_message_received_fn_protobuf(self._retrying(self._client.ConfirmMessageReceived), self._node, run_id),
            return_type=Message,
            initial_backoff=FIRST_LOOK_SECONDS,
        )

    @staticmethod
    def outgoing(reply: Message) -> "Outgoing":
        """A reply in the bytes in which it will leave."""
        reply.metadata.__dict__["_message_id"] = reply.object_id
        with no_object_id_recompute():
            objects = {name: part.deflate() for name, part in get_all_nested_objects(reply).items()}
            head = remove_content_from_message(reply) if reply.has_content() else reply
            return Outgoing(message_to_proto(head), get_object_tree(reply), objects)

    def send(self, outgoing: "Outgoing") -> bool:
        """Send a reply. False when the coordinator no longer waits for it."""
        request = fleet_pb2.PushMessagesRequest(
            node=self._node,
            messages_list=[outgoing.head],
            message_object_trees=[outgoing.tree],
            clientapp_runtime_list=[0.0],  # how long it took is nobody's business
        )
        response = self._call(self._client.PushMessages, request)
        run_id = outgoing.head.metadata.run_id
        push = make_push_object_fn_protobuf(self._retrying(self._client.PushObject), self._node, run_id, response.session_id)
        try:
            push_object_contents_from_iterable(((name, outgoing.objects[name]) for name in response.objects_to_push), push)
        except ObjectPushError:
            return False
        return True

    def _beat(self) -> None:
        request = heartbeat_pb2.SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=HEARTBEAT_SECONDS)
        while not self._left.wait(HEARTBEAT_PERIOD_SECONDS):
            try:
                self._client.SendNodeHeartbeat(request)
            except (httpx.HTTPError, RuntimeError):
                continue  # the main thread's own calls report an unreachable server; the next heartbeat may pass

    def _retrying(self, method: Callable[[Any], Response]) -> Callable[[Any], Response]:
        return lambda request: self._call(method, request)

    def _call(self, method: Callable[[Any], Response], request: Any) -> Response:
        deadline = time.monotonic() + self._patience
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                return method(request)
            except httpx.HTTPStatusError as error:
                if error.response.status_code not in RETRIED_STATUS:
                    raise self._refusal(error.response) from error
                reason = f"it answered HTTP {error.response.status_code}"
            except httpx.TransportError as error:
                if isinstance(error.__context__, ssl.SSLError) or "CERTIFICATE" in str(error) or "SSL" in str(error):
                    raise ServerRefused(
                        f"{self._server}: TLS failed: {error}",
                        "Use the coordinator's own host name and federation.json (or --ca FILE), and check this machine's clock",
                    ) from error
                reason = str(error) or type(error).__name__
            except ValueError as error:
                raise self._no_coordinator("its answer is not Flower's") from error
            if time.monotonic() + pause > deadline:
                raise ServerUnreachable(
                    f"{self._server}: not reached within {self._patience:.0f} s: {reason}",
                    "Check that the coordinator runs, the host name and port are right and the firewall lets this machine out",
                )
            time.sleep(pause)
            pause = min(pause * 2, LAST_RETRY_SECONDS)

    def _refusal(self, response: httpx.Response) -> Exception:
        code = getattr(FlowerError.from_json(response.text), "code", None)
        if response.status_code == 403 and code == RUN_NOT_ALLOWED:
            return RunOver()
        if code == ACTIVATION_FAILED:
            return ServerRefused(
                f"{self._server}: this site's key is not enrolled there, or the site is already connected",
                "Send keys/node.pub of this home to the coordinator (`ecgfl coordinator enrol`);"
                " after a crash wait 60 s and try again",
            )
        if response.status_code == 401:
            return ServerRefused(
                f"{self._server}: this site's key was not accepted",
                "Check that the site is still enrolled and that this machine's clock is right to within 5 s",
            )
        if code == VERSION_INCOMPATIBLE:
            return ServerRefused(
                f"{self._server}: it runs another Flower version", "Install the same ecgfl version on both sides"
            )
        return self._no_coordinator(f"it answered HTTP {response.status_code}" + (f", code {code}" if code else ""))

    def _no_coordinator(self, problem: str) -> ServerRefused:
        return ServerRefused(
            f"{self._server}: {problem}", "Check that HOST:PORT is an ecgfl coordinator and not a proxy's or another server's"
        )
