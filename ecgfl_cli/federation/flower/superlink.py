"""A Flower SuperLink inside this process, of which nothing but the Fleet API can be reached.

The stock SuperLink serves its Control, Runtime and Fleet APIs on one port and starts each run's server code from a bundle
in a process of its own. Here the Control and Runtime calls are made on Flower's own handlers in memory: they have no
listener at all, no bundle exists, and a round does not wait for the 3 s and 1 s polls of the stock processes.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from ecgfl_adapters.errors import LIBRARY_ERRORS
from flwr.app import Message
from flwr.common.constant import HEARTBEAT_PATIENCE, NOOP_ACCOUNT_NAME, NOOP_FLWR_AID, SubStatus
from flwr.proto import message_pb2, runtime_pb2, task_pb2
from flwr.server.superlink.linkstate import InMemoryLinkState
from flwr.supercore.constant import (
    FLEET_HTTP_SIGNATURE_HEADER,
    NOOP_FEDERATION_ID,
    TaskType,
)
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.object_store import NoObjectInStoreError
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid
from flwr.superlink.servicer.runtime import runtime_handlers
from starlette.types import ASGIApp, Receive, Scope, Send

from ecgfl_cli.federation.flower import APPLICATION, HEARTBEAT_SECONDS, OTHER_VERSION, is_compatible, quieten
from ecgfl_cli.federation.flower.fleet_app import ANSWERS, FleetApp
from ecgfl_cli.federation.flower.held_polls import HeldPolls
from ecgfl_cli.federation.flower.message_bounds import check_part, check_tree

quieten()

FLEET_CALLS = frozenset(ANSWERS)
"""What a site may call."""

REPLY_POLL_SECONDS = 0.1
LARGEST_OBJECT, LARGEST_CALL = 64 * 2**20, 2**20
"""Bytes of a request that carries a part of a message, and of any other."""


class TooLarge(Exception):
    """More bytes came than such a call has."""


class FleetOnly:
    """ASGI filter in front of Flower, which reads a whole request before it looks at who sends it.

    404 for every path that is not in `FLEET_CALLS`, 401 without a node's signature, 426 from another version of Flower (which
    it lets pass here by itself) or of ecgfl's protocol, 413 for more bytes than such a call has.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif (refusal := _refusal(scope)) is not None:
            await _answer(send, refusal)
        else:
            with contextlib.suppress(TooLarge):  # answered by Flower's own error handling
                await self._app(scope, _bounded(scope, receive), send)


def _refusal(scope: Scope) -> int | None:
    """The HTTP status of a request that is refused by its head alone."""
    headers = dict(scope["headers"])
    if scope["path"] not in FLEET_CALLS:
        return 404
    if FLEET_HTTP_SIGNATURE_HEADER.lower().encode() not in headers:
        return 401
    if not is_compatible(headers):
        return OTHER_VERSION
    stated = headers.get(b"content-length", b"0")
    return 413 if not stated.isdigit() or int(stated) > _largest(scope) else None


def _largest(scope: Scope) -> int:
    return LARGEST_OBJECT if scope["path"].endswith("-object") else LARGEST_CALL


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Also where the head states no length."""
    left = _largest(scope)

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise TooLarge
        return message

    return bounded


async def _answer(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class SuperLink:
    """The coordinator's end of Flower: a TLS listener for the sites, and runs that are driven from this process.

    Parameters
    ----------
    listener : a bound, not yet listening socket.
    certificate, key : PEM files of the server certificate and its private key.
    """

    def __init__(self, listener: socket.socket, certificate: Path, key: Path) -> None:
        app = FleetApp()
        self._state: InMemoryLinkState = app.state
        self._listener = listener
        self._polls = HeldPolls(app)
        self._server = uvicorn.Server(
            uvicorn.Config(
                FleetOnly(self._polls),
                lifespan="off",
                ssl_certfile=str(certificate),
                ssl_keyfile=str(key),
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="fleet-api", daemon=True)

    def __enter__(self) -> "SuperLink":
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the Fleet API's server ended while starting")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._polls.end()
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._listener.close()

    def register(self, public_key: ec.EllipticCurvePublicKey, name: str) -> int:
        """Let the holder of this key take part; returns its node id."""
        return self._state.create_node(
            NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, public_key_to_bytes(public_key), HEARTBEAT_SECONDS, name=name
        )

    def unregister(self, node_id: int) -> None:
        """Shut a node out at once; its key may be registered again."""
        state = self._state
        with state.lock:
            # Flower keeps the key of a deleted node for ever, and stumbles over one that was never online.
            node = state.nodes[node_id]
            node.online_until = node.online_until or 0.0
            state.delete_node(NOOP_FLWR_AID, node_id)
            state.node_public_key_to_node_id.pop(node.public_key, None)
        self._polls.news()

    def online(self) -> dict[int, str]:
        """Node id -> site name of the nodes whose heartbeat is in time."""
        nodes = self._state.get_node_info(owner_aids=[NOOP_FLWR_AID], statuses=["online"])
        return {node.node_id: node.name for node in nodes}

    def last_contacts(self) -> dict[int, datetime]:
        """Node id -> when its newest heartbeat came, of the nodes that are online."""
        state = self._state
        with state.lock:
            return {
                node_id: datetime.fromtimestamp(node.online_until - HEARTBEAT_PATIENCE * node.heartbeat_interval, UTC)
                for node_id, node in state.nodes.items()
                if (node.online_until or 0.0) > time.time()
            }

    @contextlib.contextmanager
    def run(self) -> Iterator["RunGrid"]:
        """Open a run and give its grid; the run is over for every site when the block ends, however it ends."""
        run_id = self._state.create_run(APPLICATION, None, None, {}, NOOP_FEDERATION_ID, None, NOOP_FLWR_AID, TaskType.SERVER_APP)
        task = self._state.get_tasks(run_ids=[run_id])[0]
        if self._state.claim_task(task.task_id) is None or not self._state.activate_task(task.task_id):
            raise RuntimeError(f"run {run_id} could not be started in this process's own SuperLink")
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = task.task_id, run_id, self._state.get_node_id()
        heartbeat = HeartbeatSender(lambda: self._state.acknowledge_task_heartbeat(task.task_id))
        heartbeat.start()
        outcome = SubStatus.FAILED
        try:
            yield RunGrid(_Runtime(self._state, task), run_id, self._polls.news)
            outcome = SubStatus.COMPLETED
        finally:
            heartbeat.stop()
            self._state.finish_task(task.task_id, outcome, "")
            self._polls.end()


class _Runtime:
    """Flower's Runtime API called in memory; the methods that `HttpGrid` uses, under its names."""

    def __init__(self, state: InMemoryLinkState, task: task_pb2.Task) -> None:
        self._state, self._task = state, task

    def run(self, run_id: int) -> Run:
        return self._state.get_run_info(run_ids=[run_id])[0]

    def uploading(self, message_ids: set[str]) -> dict[str, bool]:
        """The messages whose reply has begun to arrive but is not all there, and whether the node that sends it is online."""
        state = self._state
        unfinished: dict[str, bool] = {}
        with state.lock:
            for message_id in message_ids:
                reply = state.message_res_store.get(state.message_ins_id_to_message_res_id.get(message_id, ""))
                if reply is not None and not self._is_complete(reply.metadata.message_id):
                    node = state.nodes[reply.metadata.src_node_id]
                    unfinished[message_id] = (node.online_until or 0.0) > time.time()
        return unfinished

    def _is_complete(self, message_id: str) -> bool:
        store = self._state.object_store
        try:
            return all(store.get(part.object_id) for part in iterate_object_tree(store.get_object_tree(message_id)))
        except NoObjectInStoreError:
            return True  # given up by Flower, which answers for it with an error
        except RecursionError:
            return True  # a part that holds itself: it is all there, and `broken`

    def broken(self, message_ids: set[str]) -> set[str]:
        """The messages whose reply is all there but cannot be put together, or is inside not the one that it was announced as.

        Flower would end the run over the one, and take the other's word for whom it is from.
        """
        state = self._state
        with state.lock:
            replies = {
                each: state.message_res_store.get(state.message_ins_id_to_message_res_id.get(each, "")) for each in message_ids
            }
            return {each for each, reply in replies.items() if reply is not None and not self._is_sound(reply)}

    def _is_sound(self, announced: Message) -> bool:
        store, name = self._state.object_store, announced.metadata.message_id
        try:
            tree = store.get_object_tree(name)
            check_tree(tree)
            parts = {part.object_id: store.get(part.object_id) or b"" for part in iterate_object_tree(tree)}
            if not all(parts.values()):
                return True  # it has begun to arrive since `uploading` looked
            for content in parts.values():
                check_part(content)
            metadata = cast(Message, inflate_object_from_contents(name, parts)).metadata
        except NoObjectInStoreError:
            return True  # as above
        except LIBRARY_ERRORS:
            return False
        of_whom = announced.metadata
        return (metadata.reply_to_message_id, metadata.src_node_id) == (of_whom.reply_to_message_id, of_whom.src_node_id)

    def GetNodes(self, request: runtime_pb2.GetNodesRequest) -> runtime_pb2.GetNodesResponse:  # noqa: N802
        return runtime_handlers.get_nodes(request, self._state, self._task)

    def PushMessages(self, request: runtime_pb2.PushAppMessagesRequest) -> runtime_pb2.PushAppMessagesResponse:  # noqa: N802
        return runtime_handlers.push_messages(request, self._state, self._task)

    def PullMessages(self, request: runtime_pb2.PullAppMessagesRequest) -> runtime_pb2.PullAppMessagesResponse:  # noqa: N802
        return runtime_handlers.pull_messages(request, self._state, self._task)

    def PushObject(self, request: message_pb2.PushObjectRequest) -> message_pb2.PushObjectResponse:  # noqa: N802
        return runtime_handlers.push_object(request, self._state, self._task)

    def PullObject(self, request: message_pb2.PullObjectRequest) -> message_pb2.PullObjectResponse:  # noqa: N802
        return runtime_handlers.pull_object(request, self._state, self._task)

    def ConfirmMessageReceived(  # noqa: N802
        self, request: message_pb2.ConfirmMessageReceivedRequest
    ) -> message_pb2.ConfirmMessageReceivedResponse:
        return runtime_handlers.confirm_message_received(request, self._state, self._task)


class RunGrid(HttpGrid):
    """Flower's grid of one run, over memory instead of HTTP, which looks for replies ten times a second."""

    def __init__(self, runtime: _Runtime, run_id: int, tell: Callable[[], None]) -> None:
        """tell : is called when messages have been put there for the sites."""
        super().__init__(token="in-memory")
        self._tell = tell
        self._client: Any = runtime
        self._runtime = runtime
        self.run_id = run_id
        self.set_run(runtime.run(run_id))

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Put messages there for their nodes; returns their ids."""
        ids = super().push_messages(messages)
        self._tell()
        return ids

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send, and collect the replies until all are there or `timeout` seconds have passed."""
        waiting = set(self.push_messages(messages))
        deadline = None if timeout is None else time.monotonic() + timeout
        replies: list[Message] = []
        while waiting and (deadline is None or time.monotonic() < deadline):
            arrived = self.collect(waiting)
            replies += arrived
            if waiting and not arrived:
                time.sleep(REPLY_POLL_SECONDS)
        return replies

    def collect(self, waiting: set[str]) -> list[Message]:
        """The replies that are there, to the messages of these ids, which are removed from `waiting` together with those to which
        none will come any more.
        """
        if not waiting:
            return []
        uploading = self._runtime.uploading(waiting)
        waiting -= self._runtime.broken(waiting - uploading.keys())
        # Pulling a reply whose parts are still on their way would hold up all others until Flower gives up on it.
        arrived = list(self.pull_messages(waiting - uploading.keys()))
        waiting -= {message.metadata.reply_to_message_id for message in arrived}
        waiting -= {message_id for message_id, is_online in uploading.items() if not is_online}
        return arrived
