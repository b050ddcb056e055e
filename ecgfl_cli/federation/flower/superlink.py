"""A Flower SuperLink inside this process, of which nothing but the Fleet API can be reached.

The stock SuperLink serves its Control, Runtime and Fleet APIs on one port and starts each run's server code from a bundle
in a process of its own. Here the Control and Runtime calls are made on Flower's own handlers in memory: they have no
listener at all, no bundle exists, and a round does not wait for the 3 s and 1 s polls of the stock processes.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import HTTPException
from flwr.common.constant import HEARTBEAT_PATIENCE, NOOP_ACCOUNT_NAME, NOOP_FLWR_AID, SubStatus
from flwr.server.superlink.linkstate import InMemoryLinkState
from flwr.supercore.constant import (
    FLEET_HTTP_SIGNATURE_HEADER,
    NOOP_FEDERATION_ID,
    TaskType,
)
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.task_identity import TaskIdentity
from starlette.types import ASGIApp, Receive, Scope, Send

from ecgfl_cli.federation.flower import APPLICATION, HEARTBEAT_SECONDS, OTHER_VERSION, is_compatible, quieten
from ecgfl_cli.federation.flower.fleet_app import ANSWERS, PUSH_OBJECT, FleetApp
from ecgfl_cli.federation.flower.held_polls import HeldPolls
from ecgfl_cli.federation.flower.run_grid import RunGrid, Runtime
from ecgfl_cli.site.private_keys import key_password

quieten()

FLEET_CALLS = frozenset(ANSWERS)
"""What a site may call."""

LARGEST_OBJECT, LARGEST_CALL = 8 * 2**20, 2**20
"""Bytes of a request that carries a part of a message, and of any other. The networks have less than one MiB of weights."""


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
    return LARGEST_OBJECT if scope["path"] == PUSH_OBJECT else LARGEST_CALL


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Also where the head states no length. Raises `HTTPException` while it is read."""
    left = _largest(scope)

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413)
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
                ssl_keyfile_password=key_password(key),
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
        self._polls.news([node_id])

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
        # Flower ends a run whose process was silent for a minute, also where the machine slept. This process is the SuperLink.
        self._state.task_token_store[task.task_id].active_until = datetime.max.replace(tzinfo=UTC)
        self._polls.begin()
        outcome = SubStatus.FAILED
        try:
            yield RunGrid(Runtime(self._state, task), run_id, self._polls.news)
            outcome = SubStatus.COMPLETED
        finally:
            self._state.finish_task(task.task_id, outcome, "")
            self._polls.end()
