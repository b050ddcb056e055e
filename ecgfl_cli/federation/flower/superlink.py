"""A Flower SuperLink inside this process. Only its Fleet API is reachable over the network.

The stock SuperLink serves its Control, Runtime and Fleet APIs on one port, and starts the server
code of each run from a bundle in a separate process. Here, ecgfl calls Flower's handlers of the
Control and Runtime APIs in memory: they have no listener, there is no bundle, and a round does not
wait for the polls of the stock processes (every 3 s and 1 s).
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
    """The coordinator's part of Flower: a TLS listener for the sites, and the runs.

    Use it as a context manager; the listener ends with the block.

    Parameters
    ----------
    listener
        Bound socket that is not listening yet.
    tls
        TLS settings with the server's certificate and private key.
    coordinator
        Public signing key of the coordinator, base64. The sites sign their calls for it.
    most_connections
        Largest number of connections at a time.
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
        """Start the listener."""
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the Fleet API's server ended while starting")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the listener."""
        self._polls.stop()
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._listener.close()

    def register(self, public_key: ec.EllipticCurvePublicKey, name: str) -> int:
        """Admit the site with this public key and name, and return its node id."""
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
        """Exclude a node immediately. Its key may be registered again."""
        self._members.remove(node_id)
        state = self._state
        with state.lock:
            # Flower never removes the key of a deleted node, and cannot delete a node that was
            # never online.
            node = state.nodes[node_id]
            node.online_until = node.online_until or 0.0
            state.delete_node(NOOP_FLWR_AID, node_id)
            state.node_public_key_to_node_id.pop(node.public_key, None)
        self._polls.notify([node_id])

    def online(self) -> dict[int, str]:
        """Return the site name by node id, for the nodes whose heartbeat is not overdue."""
        nodes = self._state.get_node_info(owner_aids=[NOOP_FLWR_AID], statuses=["online"])
        return {node.node_id: node.name for node in nodes}

    def last_contacts(self) -> dict[int, datetime]:
        """Return the time of the last heartbeat by node id, for the nodes that are online."""
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
        """Open a run, and yield its grid. The run ends with the block, also after an error."""
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
        # Flower ends a run whose process was silent for a minute, for instance after the machine
        # slept. Here the process is always alive, because it is the SuperLink.
        self._state.task_token_store[task.task_id].active_until = datetime.max.replace(tzinfo=UTC)
        self._polls.start()
        outcome = SubStatus.FAILED
        try:
            yield RunGrid(Runtime(self._state, task, self._messages), run_id, self._polls.notify)
            outcome = SubStatus.COMPLETED
        finally:
            self._state.finish_task(task.task_id, outcome, "")
            self._polls.stop()
