"""Control which messages a site may read and answer, and store its replies during the upload.

Flower checks only that a call comes from the node that it names. A site that knows the identifiers
of another site's messages could read its weights, answer in its name, delete its reply, or announce
any number of replies. `SiteMessages` lets a site read only the messages that were sent to it, and
answer each of them once. Each site's upload is stored separately until it is complete and matches
the announced reply; only then is it passed to Flower.
"""

import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from fastapi import HTTPException
from flwr.app import Message
from flwr.common.constant import Status
from flwr.common.serde import message_from_proto
from flwr.proto.fleet_pb2 import PushMessagesRequest, PushMessagesResponse
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ConfirmMessageReceivedResponse,
    ObjectTree,
    PullObjectRequest,
    PullObjectResponse,
    PushObjectRequest,
    PushObjectResponse,
)
from flwr.server.superlink.linkstate import InMemoryLinkState
from flwr.server.superlink.utils import check_abort
from flwr.supercore.constant import NodeStatus
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.inflatable.inflatable_object import (
    get_object_children_ids_from_object_content,
    get_object_id,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.object_store.in_memory_object_store import InMemoryObjectStore

from ecgfl_cli.federation.flower.message_bounds import LARGEST_MESSAGE, check_part, check_tree

BAD_REQUEST = 400
FORBIDDEN = 403
CONFLICT = 409
TOO_LARGE = 413
"""HTTP status of the answers to refused calls."""

NOT_RUNNING = [Status.PENDING, Status.STARTING, Status.FINISHED]
"""States of a run in which Flower answers no call about its messages."""


@dataclass
class Upload:
    """A reply that is being uploaded.

    Attributes
    ----------
    node
        Node id of the site.
    session
        Random text that the site sends with each part.
    announced
        The announced message without its content.
    tree
        Names of its parts.
    parts
        The parts that have arrived, by name.
    size
        Their total size in bytes.
    """

    node: int
    session: str
    announced: Message
    tree: ObjectTree
    parts: dict[str, bytes] = field(default_factory=dict)
    size: int = 0

    @property
    def missing(self) -> list[str]:
        """Names of the parts that have not arrived."""
        return [name for name in _names(self.tree) if name not in self.parts]


@dataclass
class WaitingRequest:
    """A message that was sent to a site.

    Attributes
    ----------
    node
        Node id of the site.
    parts
        Names of all its parts.
    is_read
        Whether the site has confirmed that it has received the message.
    upload
        The site's reply while it is being uploaded.
    is_void
        Whether the uploaded reply was unusable.
    """

    node: int
    parts: frozenset[str]
    is_read: bool = False
    upload: Upload | None = None
    is_void: bool = False


class SiteMessages:
    """The messages of the open run, by site. Any thread may call its methods.

    Methods that answer a site's call take the node that signed it. They raise `HTTPException` for
    something that belongs to another site, and `FlowerError` if the run is over.

    Parameters
    ----------
    state
        Flower's state of nodes, runs and messages.

    Attributes
    ----------
    sessions
        Number of times that each node has connected.
    """

    sessions: Counter[int]

    def __init__(self, state: InMemoryLinkState) -> None:
        self._state = state
        self._requests: dict[str, WaitingRequest] = {}
        self.sessions = Counter()

    @property
    def _store(self) -> InMemoryObjectStore:
        store = self._state.object_store
        assert isinstance(store, InMemoryObjectStore)
        return store

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold Flower's locks, in the order in which Flower itself takes them.

        Flower registers the parts of a message one by one. Without the locks, another site's
        confirmation could remove a shared part in the meantime.
        """
        with self._state.lock, self._state._lock_object_push_sessions, self._store.lock_store:
            yield

    def add(self, node: int, message_id: str, tree: ObjectTree) -> None:
        """Record that a message, with the parts in `tree`, was sent to a node."""
        with self._state.lock:
            self._requests[message_id] = WaitingRequest(node, frozenset(_names(tree)))

    def remove(self, message_ids: Iterable[str]) -> None:
        """Remove messages for which the coordinator no longer waits, and their replies."""
        with self.locked():
            for message_id in message_ids:
                reply = self._state.message_ins_id_to_message_res_id.get(message_id)
                self._requests.pop(message_id, None)
                self._state.delete_messages({message_id})
                for name in (message_id, reply):
                    if name is not None:
                        self._store.delete(name)

    def classify(self, message_ids: set[str]) -> tuple[set[str], set[str]]:
        """Return the messages whose reply is ready, and those that will get no usable reply.

        The first set includes messages that Flower answers itself because the site has gone. A
        message in neither set may still get a reply.
        """
        ready: set[str] = set()
        lost: set[str] = set()
        with self._state.lock:
            for message_id in message_ids:
                request = self._requests.get(message_id)
                if message_id in self._state.message_ins_id_to_message_res_id or request is None:
                    ready.add(message_id)
                elif request.is_void:
                    lost.add(message_id)
                elif not self._is_online(request.node):
                    (ready if request.upload is None else lost).add(message_id)
        return ready, lost

    def announce(self, node: int, call: PushMessagesRequest) -> PushMessagesResponse:
        """Handle a site's announcement of its reply.

        The answer lists the parts to send. There are none if the coordinator does not wait for the
        reply.
        """
        announced, tree = _read_announcement(call)
        metadata = announced.metadata
        self._require_running(metadata.run_id)
        if metadata.src_node_id != node:
            raise HTTPException(FORBIDDEN, "a reply in the name of another site")
        names = _names(tree)
        if metadata.message_id != tree.object_id or len(set(names)) < len(names):
            raise HTTPException(BAD_REQUEST, "a reply whose parts have wrong names")
        request_id = metadata.reply_to_message_id
        with self._state.lock:
            request = self._requests.get(request_id)
            if request is not None and request.node != node:
                raise HTTPException(FORBIDDEN, "a reply to a message of another site")
            if request is None or request.is_void or self._is_answered(request_id):
                return _announced(metadata.message_id, None)
            if request.upload is None:
                self._end_other_uploads(node)
                request.upload = Upload(node, secrets.token_hex(16), announced, tree)
            elif request.upload.tree != tree:
                raise HTTPException(CONFLICT, "another reply to this message was announced")
            return _announced(metadata.message_id, request.upload)

    def store_part(self, node: int, call: PushObjectRequest) -> PushObjectResponse:
        """Store a part of a reply that a site has announced."""
        self._require_running(call.run_id)
        content = bytes(call.object_content)
        try:
            check_part(content)
        except Exception as error:  # flwr's parsers raise anything on broken bytes
            raise HTTPException(BAD_REQUEST, "a part that no reply has") from error
        if get_object_id(content) != call.object_id:
            raise HTTPException(BAD_REQUEST, "a part whose name is not its hash")
        with self.locked():
            request = self._request_of_upload(node, call.session_id)
            upload = None if request is None else request.upload
            if request is None or upload is None:
                return PushObjectResponse(stored=False)
            if call.object_id not in upload.missing:
                return PushObjectResponse(stored=call.object_id in upload.parts)
            upload.size += len(content)
            if upload.size > LARGEST_MESSAGE:
                request.upload, request.is_void = None, True
                raise HTTPException(TOO_LARGE, f"a reply of more than {LARGEST_MESSAGE} bytes")
            upload.parts[call.object_id] = content
            if upload.missing:
                return PushObjectResponse(stored=True)
        is_reply = _is_announced_reply(upload)  # without the locks, because it can take long
        with self.locked():
            if request.upload is upload:
                request.upload = None
                request.is_void = not (is_reply and self._pass_to_flower(upload))
        return PushObjectResponse(stored=True)

    def read_part(self, node: int, call: PullObjectRequest) -> PullObjectResponse:
        """Return a part of a message that was sent to this site."""
        self._require_running(call.run_id)
        with self._state.lock:
            is_own = any(
                request.node == node and call.object_id in request.parts
                for request in self._requests.values()
            )
        if not is_own:
            return PullObjectResponse(object_found=False, object_available=False)
        content = self._state.get_object(call.run_id, call.object_id)
        return PullObjectResponse(
            object_found=content is not None,
            object_available=bool(content),
            object_content=content or b"",
        )

    def confirm(
        self, node: int, call: ConfirmMessageReceivedRequest
    ) -> ConfirmMessageReceivedResponse:
        """Record that a site has received a whole message. A second call changes nothing."""
        self._require_running(call.run_id)
        with self.locked():
            request = self._requests.get(call.message_object_id)
            if request is not None and request.node != node:
                raise HTTPException(FORBIDDEN, "a message of another site")
            if request is not None and not request.is_read:
                request.is_read = True
                self._store.delete(call.message_object_id)
        return ConfirmMessageReceivedResponse()

    def expects(self, node: int) -> bool:
        """Return whether this site has announced a reply of which parts are missing."""
        with self._state.lock:
            return any(
                request.upload is not None and request.node == node
                for request in self._requests.values()
            )

    def _request_of_upload(self, node: int, session: str) -> WaitingRequest | None:
        for request in self._requests.values():
            upload = request.upload
            if upload is None or upload.node != node:
                continue
            if secrets.compare_digest(upload.session.encode(), session.encode()):
                return request
        return None

    def _pass_to_flower(self, upload: Upload) -> bool:
        """Pass a complete reply to Flower. Return whether Flower accepts it."""
        run_id = upload.announced.metadata.run_id
        session = self._state.start_session(run_id)
        stored, missing = self._state.store_message_and_object_tree(
            upload.announced, upload.tree, session
        )
        if not stored:
            return False
        return all(
            self._state.store_object(run_id, session, name, upload.parts[name]) for name in missing
        )

    def _is_online(self, node_id: int) -> bool:
        node = self._state.nodes.get(node_id)
        return (
            node is not None
            and node.status != NodeStatus.UNREGISTERED
            and (node.online_until or 0.0) > time.time()
        )

    def _is_answered(self, message_id: str) -> bool:
        return message_id in self._state.message_ins_id_to_message_res_id

    def _end_other_uploads(self, node: int) -> None:
        """Drop the unfinished uploads of a node. A site answers one message after the other."""
        for request in self._requests.values():
            if request.node == node and request.upload is not None:
                request.upload, request.is_void = None, True

    def _require_running(self, run_id: int) -> None:
        if run_id not in self._state.run_ids or check_abort(run_id, NOT_RUNNING, self._state):
            raise FlowerError(
                ApiErrorCode.FLEET_RUN_STATUS_NOT_ALLOWED, f"run {run_id} is not running"
            )


def _names(tree: ObjectTree) -> list[str]:
    return [part.object_id for part in iterate_object_tree(tree)]


def _read_announcement(call: PushMessagesRequest) -> tuple[Message, ObjectTree]:
    if len(call.messages_list) != 1 or len(call.message_object_trees) != 1:
        raise HTTPException(BAD_REQUEST, "one reply at a time")
    tree = call.message_object_trees[0]
    try:
        check_tree(tree)
        return message_from_proto(call.messages_list[0]), tree
    except Exception as error:  # flwr's parsers raise anything on broken bytes
        raise HTTPException(BAD_REQUEST, "not a valid reply") from error


def _announced(message_id: str, upload: Upload | None) -> PushMessagesResponse:
    """Return the answer to an announcement; None if the reply is not needed."""
    return PushMessagesResponse(
        results={message_id: 0},
        objects_to_push=[] if upload is None else upload.missing,
        session_id="" if upload is None else upload.session,
    )


def _is_announced_reply(upload: Upload) -> bool:
    """Return whether the parts of a complete upload make the announced reply."""
    try:
        for part in iterate_object_tree(upload.tree):
            children = get_object_children_ids_from_object_content(upload.parts[part.object_id])
            if set(children) != {child.object_id for child in part.children}:
                return False
        reply = cast(
            Message, inflate_object_from_contents(upload.tree.object_id, dict(upload.parts))
        )
    except Exception:  # noqa: BLE001 - flwr's parsers raise anything on broken bytes
        return False
    return _addresses(reply) == _addresses(upload.announced)


def _addresses(message: Message) -> tuple[str, int, int]:
    metadata = message.metadata
    return metadata.reply_to_message_id, metadata.src_node_id, metadata.run_id
