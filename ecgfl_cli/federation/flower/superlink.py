"""A Flower SuperLink inside this process, of which nothing but the Fleet API can be reached.

The stock SuperLink serves its Control, Runtime and Fleet APIs on one port and starts each run's server code from a bundle
in a process of its own. Here the Control and Runtime calls are made on Flower's own handlers in memory: they have no
listener at all, no bundle exists, and a round does not wait for the 3 s and 1 s polls of the stock processes.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import HEARTBEAT_PATIENCE, NOOP_ACCOUNT_NAME, NOOP_FLWR_AID, SubStatus
from flwr.server.superlink.linkstate import InMemoryLinkState
from flwr.supercore.constant import NOOP_FEDERATION_ID, TaskType
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.task_identity import TaskIdentity

from ecgfl_cli.federation.flower import APPLICATION, HEARTBEAT_SECONDS, quieten
from ecgfl_cli.federation.flower.authenticated_calls import AuthenticatedCalls, Members
from ecgfl_cli.federation.flower.connections import IDLE_SECONDS, LARGEST_HEAD, BoundedServer
from ecgfl_cli.federation.flower.fleet_app import FleetApp
from ecgfl_cli.federation.flower.long_polling import LongPolling
from ecgfl_cli.federation.flower.run_grid import RunGrid, Runtime

quieten()


class SuperLink:
    """The coordinator's end of Flower: a TLS listener for the sites, and runs that are driven from this process.

    Parameters
    ----------
    listener : a bound, not yet listening socket.
    tls : TLS settings with the server's certificate and private key.
    coordinator : the coordinator's public signing key, base64; the sites sign their calls for it.
    most_connections : largest number of connections that may be open at a time.
    """

    def __init__(
        self, listener: socket.socket, tls: ssl.SSLContext, coordinator: str, most_connections: int
    ) -> None:
        app = FleetApp()
        self._state: InMemoryLinkState = app.state
        self._messages = app.messages
        self._listener = listener
        self._polls = LongPolling(app)
        self._members = Members(coordinator)
        config = uvicorn.Config(
            AuthenticatedCalls(self._polls, self._members, app.messages.expects),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            h11_max_incomplete_event_size=LARGEST_HEAD,
            timeout_keep_alive=IDLE_SECONDS,
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        self._server = BoundedServer(config, listener, tls, most_connections)
        self._thread = threading.Thread(target=self._server.run, name="fleet-api", daemon=True)

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
        node = self._state.create_node(
            NOOP_FLWR_AID,
            NOOP_ACCOUNT_NAME,
            public_key_to_bytes(public_key),
            HEARTBEAT_SECONDS,
            name=name,
        )
        self._members.add(public_key, node)
        return node

    def unregister(self, node_id: int) -> None:
        """Shut a node out at once; its key may be registered again."""
        self._members.remove(node_id)
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
                node_id: datetime.fromtimestamp(
                    node.online_until - HEARTBEAT_PATIENCE * node.heartbeat_interval, UTC
                )
                for node_id, node in state.nodes.items()
                if (node.online_until or 0.0) > time.time()
            }

    @contextlib.contextmanager
    def run(self) -> Iterator["RunGrid"]:
        """Open a run and give its grid; the run is over for every site when the block ends, however it ends."""
        run_id = self._state.create_run(
            APPLICATION,
            None,
            None,
            {},
            NOOP_FEDERATION_ID,
            None,
            NOOP_FLWR_AID,
            TaskType.SERVER_APP,
        )
        task = self._state.get_tasks(run_ids=[run_id])[0]
        if self._state.claim_task(task.task_id) is None or not self._state.activate_task(
            task.task_id
        ):
            raise RuntimeError(f"run {run_id} could not be started in this process's own SuperLink")
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = (
            task.task_id,
            run_id,
            self._state.get_node_id(),
        )
        # Flower ends a run whose process was silent for a minute, also where the machine slept. This process is the SuperLink.
        self._state.task_token_store[task.task_id].active_until = datetime.max.replace(tzinfo=UTC)
        self._polls.begin()
        outcome = SubStatus.FAILED
        try:
            yield RunGrid(Runtime(self._state, task, self._messages), run_id, self._polls.news)
            outcome = SubStatus.COMPLETED
        finally:
            self._state.finish_task(task.task_id, outcome, "")
            self._polls.end()
