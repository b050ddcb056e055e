"""Connect a site to the coordinator through Flower's Fleet API.

There is no bundle of code, and no error ends the process, as in Flower's own node.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Error, Message
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2, node_pb2, run_pb2
from flwr.supercore.inflatable.inflatable_object import (
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
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from ecgfl_cli.errors import ConnectedAlready, NotEnrolled, ServerError
from ecgfl_cli.federation.connection.proxy import proxy_for
from ecgfl_cli.federation.flower import APPLICATION, HEARTBEAT_SECONDS, quieten
from ecgfl_cli.federation.flower.call_deadline import patient_until
from ecgfl_cli.federation.flower.codec import (
    content_of,
    message_from,
    record_of,
)
from ecgfl_cli.federation.flower.fleet_client import FleetClient, LastAnswer
from ecgfl_cli.federation.flower.message_bounds import BoundedPull, MessageTooLarge, check_tree
from ecgfl_cli.federation.flower.refusals import HEARTBEAT_INVALID, Refusals, error_code
from ecgfl_cli.federation.messages import Content, content_of_release
from ecgfl_cli.federation.transport import Delivered, RunOver
from ecgfl_cli.logs import Event, event
from ecgfl_cli.site.outbox import Release

quieten()

FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 10.0
HEARTBEAT_PERIOD_SECONDS = HEARTBEAT_SECONDS * 0.6
LAST_SESSION_SECONDS = 75.0
"""How long the coordinator may keep the session of a killed site. Until two heartbeats are missing,
it refuses the site's next session."""
LAST_SESSION_PAUSE_SECONDS = 3.0
LEAVE_SECONDS = 5.0
WARNING_PAUSE_SECONDS = 4.0
"""Shortest pause before a retry of which a warning is logged."""
FIRST_LOOK_SECONDS = 0.05
"""Pause before the parts of a message are requested again. Flower's second would be most of a
round."""

Response = TypeVar("Response")
_log = logging.getLogger(__name__)

__all__ = ["FleetConnection", "Incoming", "Outgoing", "RunOver"]


@dataclass(frozen=True)
class Incoming:
    """A message that was announced and not yet fetched.

    Attributes
    ----------
    head
        The message without its content.
    tree
        The tree of the objects of its content.
    """

    head: Message
    tree: message_pb2.ObjectTree

    @property
    def run_id(self) -> int:
        """The number of the run in Flower."""
        return self.head.metadata.run_id

    @property
    def kind(self) -> str:
        """The kind of the message: "train", "evaluate" or "query"."""
        return self.head.metadata.message_type


@dataclass(frozen=True)
class Outgoing:
    """A reply in the bytes in which it is sent.

    Attributes
    ----------
    head
        The reply without its content.
    tree
        The tree of the objects of its content.
    objects
        Name -> bytes of each object.
    """

    head: message_pb2.Message
    tree: message_pb2.ObjectTree
    objects: dict[str, bytes]

    @property
    def size(self) -> int:
        """Number of bytes of the content."""
        return sum(len(part) for part in self.objects.values())

    @property
    def sha256(self) -> str:
        """SHA-256 of all objects in the order of their names, in hexadecimal."""
        digest = hashlib.sha256()
        for name in sorted(self.objects):
            digest.update(self.objects[name])
        return digest.hexdigest()


class FleetConnection:
    """One authenticated session of a site with the coordinator.

    It is a context manager, which activates and deactivates the node. Every call raises
    `ServerUnreachable` or `ServerRefused`; a call about a run also raises `RunOver`.

    Parameters
    ----------
    server
        Address of the coordinator, "HOST:PORT".
    ca
        CA certificate of the coordinator, PEM; None for plain HTTP, which the caller allows only to
        a loopback address.
    key
        Node key of the site, ECDSA P-384.
    coordinator
        Public signing key of the coordinator, base64. The calls are signed for this coordinator.
    patience
        Seconds for which a call is repeated while the server does not answer.
    connect_patience
        The same for the first call, and for the end of this site's last session; None for
        `patience`.
    waited
        Total waiting time in seconds that an error of the first call states; None for
        `connect_patience`.
    """

    def __init__(
        self,
        server: str,
        ca: bytes | None,
        key: ec.EllipticCurvePrivateKey,
        coordinator: str,
        patience: float,
        connect_patience: float | None = None,
        waited: float | None = None,
    ) -> None:
        self._waited = waited
        self._patience = patience
        self._connect_patience = patience if connect_patience is None else connect_patience
        self._public_key = public_key_to_bytes(key.public_key())
        proxy = proxy_for(server)
        self._refusals = Refusals(server, proxy)
        self._client = FleetClient(server, ca, key, coordinator, proxy)
        self._node = node_pb2.Node()
        self._heartbeat = threading.Thread(
            target=self._send_heartbeats, name="heartbeat", daemon=True
        )
        self._left = threading.Event()

    def __enter__(self) -> "FleetConnection":
        """Activate the node, and send heartbeats from now on."""
        try:
            self._node = node_pb2.Node(node_id=self._activate())
            if not self._node.node_id:
                raise self._refusals.no_coordinator("it gave this site no node id")
            self._heartbeat.start()
        except BaseException:  # also an interrupt: the coordinator may know the session already
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Deactivate the node, and close the connection."""
        self._left.set()
        try:
            if self._node.node_id:
                self._client.set_timeout(LEAVE_SECONDS)
                with patient_until(time.monotonic() + LEAVE_SECONDS):
                    self._client.DeactivateNode(
                        fleet_pb2.DeactivateNodeRequest(node_id=self._node.node_id)
                    )
        except (httpx.HTTPError, RuntimeError, ValueError):
            pass  # the coordinator cannot be reached; it will notice the missing heartbeat
        finally:
            self.close()
        if self._heartbeat.is_alive():
            self._heartbeat.join(timeout=1)

    def close(self) -> None:
        """Close a connection that was never entered."""
        self._client.close()

    def _activate(self) -> int:
        """Activate the node and return its id.

        If this site's last session was killed, wait until the coordinator has closed it.
        """
        deadline = time.monotonic() + min(self._connect_patience, LAST_SESSION_SECONDS)
        request = fleet_pb2.ActivateNodeRequest(
            public_key=self._public_key, heartbeat_interval=HEARTBEAT_SECONDS
        )
        has_warned = False
        while True:
            try:
                return int(
                    self._call(
                        self._client.ActivateNode, request, self._connect_patience, self._waited
                    ).node_id
                )
            except ConnectedAlready:
                if not self.is_enrolled():
                    raise self.not_enrolled() from None
                if time.monotonic() + LAST_SESSION_PAUSE_SECONDS > deadline:
                    raise
            if not has_warned:
                _log.warning(
                    "the coordinator has not closed this site's last session yet; trying again",
                    extra=event(Event.RETRYING, reason="last-session"),
                )
                has_warned = True
            time.sleep(LAST_SESSION_PAUSE_SECONDS)

    def is_enrolled(self) -> bool:
        """Return whether the coordinator knows the key.

        It changes nothing at the coordinator, also while the site is connected: the coordinator
        looks up the key first, and then refuses this heartbeat interval, which is out of bounds.
        """
        try:
            self._client.ActivateNode(
                fleet_pb2.ActivateNodeRequest(public_key=self._public_key, heartbeat_interval=-1.0)
            )
        except (httpx.HTTPError, ValueError) as error:
            if (
                isinstance(error, httpx.HTTPStatusError)
                and error_code(error.response) == HEARTBEAT_INVALID
            ):
                return True
            meaning = self._refusals.of(error, self._client.last_answer.ahead)
            if isinstance(meaning, ConnectedAlready):
                return False
            if isinstance(meaning, Exception):
                raise meaning from error
            raise self._refusals.unreachable(meaning, 0) from error
        raise self._refusals.no_coordinator("it accepted an invalid heartbeat interval")

    def not_enrolled(self) -> NotEnrolled:
        """Return the error for a key that the coordinator does not know."""
        return self._refusals.not_enrolled()

    @property
    def last_answer(self) -> LastAnswer:
        """What the last answer told of the coordinator's clock and certificate."""
        return self._client.last_answer

    @property
    def node_id(self) -> int:
        """The number of this session at the coordinator."""
        return self._node.node_id

    def receive(self, patience: float = 0.0) -> "Incoming | None":
        """Return the next announced message; None if there is none.

        Parameters
        ----------
        patience
            Seconds for which the coordinator may delay its answer until there is a message.
        """
        self._client.long_poll.seconds = patience
        response = self._call(
            self._client.PullMessages, fleet_pb2.PullMessagesRequest(node=self._node)
        )
        if not response.messages_list:
            return None
        try:
            return Incoming(
                message_from_proto(response.messages_list[0]), response.message_object_trees[0]
            )
        except Exception as error:  # flwr's parsers raise anything on broken bytes
            raise self._refusals.message(
                f"a message whose head is broken ({type(error).__name__})"
            ) from error

    @property
    def was_delayed(self) -> bool:
        """Whether the coordinator delayed its last answer, so that the next call may follow."""
        return self._client.long_poll.was_delayed

    def is_ours(self, run_id: int) -> bool:
        """Return whether the run is one of an ecgfl coordinator.

        Raises
        ------
        RunOver
            If the run has ended.
        """
        run = self._call(
            self._client.GetRun, run_pb2.GetRunRequest(node=self._node, run_id=run_id)
        ).run
        return bool(run.fab_id == APPLICATION)

    def fetch(self, offer: "Incoming") -> Delivered | None:
        """Fetch the content of an announced message; None if the coordinator has withdrawn it.

        It withdraws a message when it no longer waits for the answer.

        Raises
        ------
        MessageRefused
            If the message is broken or too large.
        """
        message = self.fetch_message(offer)
        if message is None:
            return None
        content = content_of(message.content) if message.has_content() else Content()
        return Delivered(message.metadata.message_type, content, message)

    def fetch_message(self, incoming: "Incoming") -> Message | None:
        """Fetch a message as Flower's; see `fetch`."""
        run_id, tree = incoming.run_id, incoming.tree
        try:
            check_tree(tree)
            message = self._inflate(run_id, tree)
        except (ServerError, RunOver):
            raise
        except MessageTooLarge as error:
            raise self._refusals.message(str(error)) from error
        except ObjectPullError:
            return None
        except Exception as error:  # flwr's parsers raise anything on broken bytes
            raise self._refusals.message(
                f"a message whose content is broken ({type(error).__name__})"
            ) from error
        message.metadata.__dict__["_message_id"] = tree.object_id
        return message

    def _inflate(self, run_id: int, tree: message_pb2.ObjectTree) -> Message:
        return pull_and_inflate_object_from_tree(
            tree,
            BoundedPull(
                make_pull_object_fn_protobuf(
                    self._retrying(self._client.PullObject), self._node, run_id
                )
            ),
            make_confirm_message_received_fn_protobuf(
                self._retrying(self._client.ConfirmMessageReceived), self._node, run_id
            ),
            return_type=Message,
            initial_backoff=FIRST_LOOK_SECONDS,
        )

    def pack(self, release: Release, to: Delivered) -> "Outgoing":
        """Return a reply in the bytes in which it is sent."""
        if release.code is not None:
            return self.outgoing(Message(Error(release.code, "refused"), reply_to=to.origin))
        record = record_of(content_of_release(release))
        return self.outgoing(Message(record, reply_to=to.origin))

    @classmethod
    def sample(cls, release: Release) -> "Outgoing":
        """Return a reply to no request in bytes. The id of a request adds a few bytes."""
        return cls.outgoing(message_from(record_of(content_of_release(release)), release.kind))

    @staticmethod
    def outgoing(reply: Message) -> "Outgoing":
        """Return a reply in the bytes in which it is sent."""
        reply.metadata.__dict__["_message_id"] = reply.object_id
        with no_object_id_recompute():
            objects = {name: part.deflate() for name, part in get_all_nested_objects(reply).items()}
            head = remove_content_from_message(reply) if reply.has_content() else reply
            return Outgoing(message_to_proto(head), get_object_tree(reply), objects)

    def send(self, packed: "Outgoing") -> bool:
        """Send a reply. Return False if the coordinator no longer waits for it."""
        request = fleet_pb2.PushMessagesRequest(
            node=self._node,
            messages_list=[packed.head],
            message_object_trees=[packed.tree],
            clientapp_runtime_list=[0.0],  # the duration is not sent
        )
        response = self._call(self._client.PushMessages, request)
        run_id = packed.head.metadata.run_id
        push = make_push_object_fn_protobuf(
            self._retrying(self._client.PushObject), self._node, run_id, response.session_id
        )
        try:
            push_object_contents_from_iterable(
                ((name, packed.objects[name]) for name in response.objects_to_push), push
            )
        except ObjectPushError:
            return False
        return True

    def _send_heartbeats(self) -> None:
        request = heartbeat_pb2.SendNodeHeartbeatRequest(
            node=self._node, heartbeat_interval=HEARTBEAT_SECONDS
        )
        while not self._left.wait(HEARTBEAT_PERIOD_SECONDS):
            try:
                self._client.SendNodeHeartbeat(request)
            except (httpx.HTTPError, RuntimeError, ValueError):
                continue  # the calls of the main thread raise an error if this lasts

    def _retrying(self, method: Callable[[Any], Response]) -> Callable[[Any], Response]:
        return lambda request: self._call(method, request)

    def _call(
        self,
        method: Callable[[Any], Response],
        request: Any,
        patience: float | None = None,
        waited: float | None = None,
    ) -> Response:
        """Call a method, and repeat the call while the server does not answer."""
        patience = self._patience if patience is None else patience
        deadline = time.monotonic() + patience
        pause = FIRST_RETRY_SECONDS
        has_warned = False
        while True:
            try:
                with patient_until(deadline):
                    return method(request)
            except (httpx.HTTPError, ValueError) as error:
                meaning = self._refusals.of(error, self._client.last_answer.ahead)
                if isinstance(meaning, Exception):
                    raise meaning from error
            if time.monotonic() + pause > deadline:
                raise self._refusals.unreachable(meaning, patience if waited is None else waited)
            is_notable = pause >= WARNING_PAUSE_SECONDS and not has_warned
            has_warned = has_warned or is_notable
            _log.log(
                logging.WARNING if is_notable else logging.DEBUG,
                f"not reached, trying again: {meaning}",
                extra=event(Event.RETRYING, reason="not-reached"),
            )
            time.sleep(pause)
            pause = min(pause * 2, LAST_RETRY_SECONDS)
