"""Controls which messages a site may read and answer, and stores its replies while they are uploaded.

Flower checks only that a call comes from the node that it names. A site that knows the identifiers of another site's messages
could read its weights, answer in its name, delete its reply, or announce any number of replies. `SiteMessages` lets a site read
only the messages that were sent to it, and answer each of them once. Each site's upload is stored separately until it is complete
and matches the announced reply; only then is it passed to Flower.
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

FORBIDDEN, BAD_REQUEST, CONFLICT, TOO_LARGE = 403, 400, 409, 413
NOT_RUNNING = [Status.PENDING, Status.STARTING, Status.FINISHED]


@dataclass
class Upload:
    """A reply that is being uploaded.

    announced : the announced message without its content. parts : the parts that have arrived, by name. size : their total bytes.
    """

    node: int
    session: str
    announced: Message
    tree: ObjectTree
    parts: dict[str, bytes] = field(default_factory=dict)
    size: int = 0

    @property
    def names(self) -> list[str]:
        return [part.object_id for part in iterate_object_tree(self.tree)]

    @property
    def missing(self) -> list[str]:
        return [name for name in self.names if name not in self.parts]


@dataclass
class Request:
    """A message that was sent to a site.

    parts : names of all its parts. is_read : whether the site has confirmed that it has received the message. upload : the site's
    reply while it is being uploaded. is_void : whether the uploaded reply was unusable.
    """

    node: int
    parts: frozenset[str]
    is_read: bool = False
    upload: Upload | None = None
    is_void: bool = False


class SiteMessages:
    """The messages of the open run, by site. Its methods may be called from any thread.

    Methods that answer a site's call take the node that signed it. They raise `HTTPException` for something that belongs to
    another site, and `FlowerError` when the run is over.
    """

    def __init__(self, state: InMemoryLinkState) -> None:
        self._state = state
        self._requests: dict[str, Request] = {}
        self.sessions: Counter[int] = Counter()
        """Number of times that each node has connected."""

    @property
    def _store(self) -> InMemoryObjectStore:
        store = self._state.object_store
        assert isinstance(store, InMemoryObjectStore)
        return store

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Hold Flower's locks while messages are stored, in the order in which Flower itself takes them.

        Flower registers the parts of a message one by one. Meanwhile another site's confirmation could remove a shared part.
        """
        with self._state.lock, self._state._lock_object_push_sessions, self._store.lock_store:
            yield

    def sent(self, node: int, message_id: str, tree: ObjectTree) -> None:
        """Record that a message was sent to a node."""
        with self._state.lock:
            self._requests[message_id] = Request(
                node, frozenset(part.object_id for part in iterate_object_tree(tree))
            )

    def forget(self, message_ids: Iterable[str]) -> None:
        """Free these messages and whatever has arrived of their replies, because the coordinator no longer waits for them."""
        with self.undisturbed():
            for message_id in message_ids:
                reply = self._state.message_ins_id_to_message_res_id.get(message_id)
                self._requests.pop(message_id, None)
                self._state.delete_messages({message_id})
                for name in (message_id, reply):
                    if name is not None:
                        self._store.delete(name)

    def sorted_out(self, message_ids: set[str]) -> tuple[set[str], set[str]]:
        """Return the messages whose reply can be collected now, and those that will get no usable reply.

        The first set includes messages that Flower answers itself because the site has gone. The other messages may still get a
        reply.
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
        """Handle a site's announcement of its reply. The answer lists the parts to send; none if nobody waits for the reply."""
        if len(call.messages_list) != 1 or len(call.message_object_trees) != 1:
            raise HTTPException(BAD_REQUEST, "one reply at a time")
        tree = call.message_object_trees[0]
        try:
            check_tree(tree)
            announced = message_from_proto(call.messages_list[0])
        except Exception as error:  # flwr's parsers raise anything on broken bytes
            raise HTTPException(BAD_REQUEST, "not a valid reply") from error
        metadata = announced.metadata
        self._require_running(metadata.run_id)
        if metadata.src_node_id != node:
            raise HTTPException(FORBIDDEN, "a reply in the name of another site")
        names = [part.object_id for part in iterate_object_tree(tree)]
        if metadata.message_id != tree.object_id or len(set(names)) < len(names):
            raise HTTPException(BAD_REQUEST, "a reply whose parts have wrong names")
        with self._state.lock:
            request = self._requests.get(metadata.reply_to_message_id)
            if request is not None and request.node != node:
                raise HTTPException(FORBIDDEN, "a reply to a message of another site")
            if (
                request is None
                or request.is_void
                or self._is_answered(metadata.reply_to_message_id)
            ):
                return self._answered(metadata.message_id, None)
            if request.upload is None:
                self._end_other_uploads(node)
                request.upload = Upload(node, secrets.token_hex(16), announced, tree)
            elif request.upload.tree != tree:
                raise HTTPException(CONFLICT, "another reply to this message was announced")
            return self._answered(metadata.message_id, request.upload)

    def take_part(self, node: int, call: PushObjectRequest) -> PushObjectResponse:
        """Store a part of a reply that a site has announced."""
        self._require_running(call.run_id)
        content = bytes(call.object_content)
        try:
            check_part(content)
        except Exception as error:  # flwr's parsers raise anything on broken bytes
            raise HTTPException(BAD_REQUEST, "a part that no reply has") from error
        if get_object_id(content) != call.object_id:
            raise HTTPException(BAD_REQUEST, "a part whose name is not its hash")
        with self.undisturbed():
            found = next(
                (
                    each
                    for each in self._requests.values()
                    if _is_of(each.upload, node, call.session_id)
                ),
                None,
            )
            upload = None if found is None else found.upload
            if found is None or upload is None or call.object_id not in upload.missing:
                return PushObjectResponse(
                    stored=upload is not None and call.object_id in upload.parts
                )
            upload.size += len(content)
            if upload.size > LARGEST_MESSAGE:
                found.upload, found.is_void = None, True
                raise HTTPException(TOO_LARGE, f"a reply of more than {LARGEST_MESSAGE} bytes")
            upload.parts[call.object_id] = content
            if upload.missing:
                return PushObjectResponse(stored=True)
        is_reply = _makes_reply(upload)  # without the lock: it can take long
        with self.undisturbed():
            if found.upload is upload:
                found.upload = None
                found.is_void = not (is_reply and self._hand_in(upload))
        return PushObjectResponse(stored=True)

    def read_part(self, node: int, call: PullObjectRequest) -> PullObjectResponse:
        """Return a part of a message that was sent to this site."""
        self._require_running(call.run_id)
        with self._state.lock:
            mine = any(
                each.node == node and call.object_id in each.parts
                for each in self._requests.values()
            )
        if not mine:
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
        with self.undisturbed():
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
                each.upload is not None and each.node == node for each in self._requests.values()
            )

    def _hand_in(self, upload: Upload) -> bool:
        """Pass a complete reply to Flower. Return False if Flower does not take it."""
        of_whom = upload.announced.metadata
        session = self._state.start_session(of_whom.run_id)
        stored, missing = self._state.store_message_and_object_tree(
            upload.announced, upload.tree, session
        )
        if not stored:
            return False
        return all(
            self._state.store_object(of_whom.run_id, session, name, upload.parts[name])
            for name in missing
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
        """Free the unfinished uploads of a node. A site answers one message after the other."""
        for request in self._requests.values():
            if request.node == node and request.upload is not None:
                request.upload, request.is_void = None, True

    def _answered(self, message_id: str, upload: Upload | None) -> PushMessagesResponse:
        return PushMessagesResponse(
            results={message_id: 0},
            objects_to_push=[] if upload is None else upload.missing,
            session_id="" if upload is None else upload.session,
        )

    def _require_running(self, run_id: int) -> None:
        if run_id not in self._state.run_ids or check_abort(run_id, NOT_RUNNING, self._state):
            raise FlowerError(
                ApiErrorCode.FLEET_RUN_STATUS_NOT_ALLOWED, f"run {run_id} is not running"
            )


def _makes_reply(upload: Upload) -> bool:
    """Return whether the parts of a complete upload make the announced reply."""
    try:
        for part in iterate_object_tree(upload.tree):
            below = {child.object_id for child in part.children}
            if (
                set(get_object_children_ids_from_object_content(upload.parts[part.object_id]))
                != below
            ):
                return False
        found = cast(
            Message, inflate_object_from_contents(upload.tree.object_id, dict(upload.parts))
        ).metadata
    except Exception:  # noqa: BLE001 - flwr's parsers raise anything on broken bytes
        return False
    of_whom = upload.announced.metadata
    return (found.reply_to_message_id, found.src_node_id, found.run_id) == (
        of_whom.reply_to_message_id,
        of_whom.src_node_id,
        of_whom.run_id,
    )


def _is_of(upload: Upload | None, node: int, session: str) -> bool:
    return (
        upload is not None
        and upload.node == node
        and secrets.compare_digest(upload.session.encode(), session.encode())
    )
