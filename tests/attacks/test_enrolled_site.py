"""An enrolled site can neither act for others nor exhaust the coordinator.

The tests use the program's own client and a real `serve`.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import numpy as np
import psutil
import pytest
from federation_homes import Homes
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.proto import fleet_pb2, message_pb2, node_pb2
from node_processes import Command, Processes

from ecgfl_cli.federation.flower.fleet import FleetConnection, Incoming, Outgoing
from ecgfl_cli.logs import Event
from ecgfl_cli.site.keys import load_node_key

pytestmark = pytest.mark.slow
MIB = 2**20
MALLORY = "carol"
WAIT_SECONDS = 120.0


@dataclass
class Rogue:
    """A site that has received a request. statuses: HTTP status of each refused call."""

    server: Command
    connection: FleetConnection
    incoming: Incoming
    request: Message
    statuses: list[int] = field(default_factory=list)

    def call(self, name: str, request: object) -> object | None:
        """Call the coordinator; return None if it refuses."""
        try:
            return getattr(self.connection._client, name)(request)
        except httpx.HTTPStatusError as error:
            self.statuses.append(error.response.status_code)
            return None

    @property
    def node(self) -> node_pb2.Node:
        return node_pb2.Node(node_id=self.connection.node_id)

    def reply(self, mebibytes: int) -> Outgoing:
        array = Array(np.random.default_rng().random(mebibytes * MIB // 4, np.float32))
        content = RecordDict(
            {"metrics": MetricRecord({"num-examples": 100}), "arrays": ArrayRecord({"flat": array})}
        )
        return self.connection.outgoing(Message(content, reply_to=self.request))

    def announce(self, reply: Outgoing) -> fleet_pb2.PushMessagesResponse | None:
        request = fleet_pb2.PushMessagesRequest(
            node=self.node,
            messages_list=[reply.head],
            message_object_trees=[reply.tree],
            clientapp_runtime_list=[0.0],
        )
        return self.call("PushMessages", request)  # type: ignore[return-value]


@pytest.fixture
def rogue(homes: Homes, processes: Processes) -> Iterator[Rogue]:
    """Return Carol, who is asked to train with Alice and Bob in the second round of their run."""
    server, port = processes.serve(
        homes.coordinator, "--rounds", "2", "--min-sites", "2", "--phase-timeout", "180s"
    )
    joins = [processes.join(homes.site(name).root, port) for name in ("alice", "bob")]
    server.wait_for(
        Event.ROUND_STARTED, round=1
    )  # with Carol in it, one of them might come too late
    key, federation = load_node_key(homes.site(MALLORY)), homes.federation
    authority = federation.ca_certificate.encode()
    with FleetConnection(
        f"localhost:{port}", authority, key, federation.signing_public_key, 10.0
    ) as connection:
        server.wait_for(Event.SITE_CONNECTED, site=MALLORY)
        deadline = time.monotonic() + WAIT_SECONDS
        incoming = None
        while incoming is None:
            assert time.monotonic() < deadline
            incoming = connection.receive(patience=1.0)
        message = connection.fetch_message(incoming)
        assert message is not None
        yield Rogue(server, connection, incoming, message)
    ended = server.finish()
    assert ended.code == 0, ended.said
    assert [join.finish().code for join in joins] == [0, 0]
    assert {"alice", "bob"} <= set(ended.result["rounds"][1]["sites"])


def test_many_replies_use_bounded_memory(rogue: Rogue) -> None:
    process = psutil.Process(rogue.server.pid)
    before = peak = process.memory_info().rss
    for _ in range(20):
        reply = rogue.reply(7)
        announced = rogue.announce(reply)
        for name, content in reply.objects.items():
            session = "" if announced is None else announced.session_id
            part = message_pb2.PushObjectRequest(
                node=rogue.node,
                run_id=rogue.incoming.run_id,
                object_id=name,
                object_content=content,
                session_id=session,
            )
            rogue.call("PushObject", part)
        peak = max(peak, process.memory_info().rss)
    assert peak < before + 100 * MIB


def test_site_cannot_act_for_another(rogue: Rogue, homes: Homes) -> None:
    other = rogue.connection.node_id + 1
    reply = rogue.reply(1)
    reply.head.metadata.src_node_id = other
    assert rogue.announce(reply) is None
    reply = rogue.reply(1)
    reply.head.metadata.reply_to_message_id = "0" * 64
    announced = rogue.announce(reply)
    assert announced is not None
    assert not announced.objects_to_push
    run_id = rogue.incoming.run_id
    unknown = message_pb2.PullObjectRequest(node=rogue.node, run_id=run_id, object_id="0" * 64)
    response = rogue.call("PullObject", unknown)
    assert isinstance(response, message_pb2.PullObjectResponse)
    assert not response.object_found
    for name, request in (
        ("PullMessages", fleet_pb2.PullMessagesRequest(node=node_pb2.Node(node_id=other))),
        (
            "PullObject",
            message_pb2.PullObjectRequest(
                node=node_pb2.Node(node_id=other), run_id=run_id, object_id="0" * 64
            ),
        ),
        ("DeactivateNode", fleet_pb2.DeactivateNodeRequest(node_id=other)),
    ):
        assert rogue.call(name, request) is None
    assert set(rogue.statuses) == {401, 403}
    assert homes.coordinator_home.federation.is_file()


def test_unannounced_parts_use_bounded_memory(rogue: Rogue) -> None:
    process = psutil.Process(rogue.server.pid)
    before = peak = process.memory_info().rss
    content = np.random.default_rng().bytes(7 * MIB)

    def push() -> None:
        part = message_pb2.PushObjectRequest(
            node=rogue.node,
            run_id=rogue.incoming.run_id,
            object_id="0" * 64,
            object_content=content,
            session_id="x",
        )
        with contextlib.suppress(httpx.HTTPError):
            rogue.connection._client.PushObject(part)

    for _ in range(5):
        threads = [threading.Thread(target=push) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
            peak = max(peak, process.memory_info().rss)
    assert peak < before + 60 * MIB


def test_many_connections_of_a_site_are_answered(rogue: Rogue) -> None:
    """With many connections of one site, the oldest are closed and the calls are still answered."""
    answered: list[int] = []

    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):
            rogue.connection._client.PullMessages(fleet_pb2.PullMessagesRequest(node=rogue.node))
            answered.append(1)

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answered) == len(threads)
    assert rogue.server.code is None
