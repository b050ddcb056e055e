"""Which messages an enrolled site may read and answer, and which answers enter a round."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import HTTPException
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.proto import fleet_pb2, message_pb2, node_pb2
from flwr.supercore.error import FlowerError
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree

from ecgfl_cli.federation.flower import fleet_app, site_messages
from ecgfl_cli.federation.flower.codec import arrays_of as weights_record
from ecgfl_cli.federation.flower.fleet import FleetConnection, Outgoing
from ecgfl_cli.federation.flower.run_grid import RunGrid
from ecgfl_cli.federation.flower.superlink import SuperLink

NAMES = ("alice", "bob")
HALF_A_MINUTE = 30.0
PUSH, PULL, OBJECT = fleet_app.PUSH_MESSAGES, fleet_app.PULL_MESSAGES, fleet_app.PUSH_OBJECT
READ, CONFIRM = "/v1/fleet/pull-object", "/v1/fleet/confirm-message-received"


@dataclass
class Run:
    """An open run of two sites that are online. asked : the request to each, by its node."""

    app: fleet_app.FleetApp
    grid: RunGrid
    nodes: list[int]
    asked: dict[int, Message] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)

    def ask(self, value: float) -> None:
        """Ask both for something; they take the request and confirm that they have."""
        content = RecordDict({"arrays": weights_record(np.full(10, value, np.float32))})
        messages = [Message(content, dst_node_id=node, message_type="query") for node in self.nodes]
        self.waiting = set(self.grid.push_messages(messages))
        self.asked = {message.metadata.dst_node_id: message for message in messages}
        for node in self.nodes:
            assert (
                len(
                    self.call(
                        PULL, fleet_pb2.PullMessagesRequest(node=node_pb2.Node(node_id=node))
                    ).messages_list
                )
                == 1
            )

    def call(self, path: str, request: Any, caller: int | None = None) -> Any:
        """Call as a site. caller : the node that signed the call; if None, the one it names."""
        return self.app.answer(path, request.node.node_id if caller is None else caller, request)

    def push(self, node: int, reply: Outgoing, tree: message_pb2.ObjectTree | None = None) -> str:
        """Announce a reply; returns the session for its parts."""
        request = fleet_pb2.PushMessagesRequest(
            node=node_pb2.Node(node_id=node),
            messages_list=[reply.head],
            message_object_trees=[tree or reply.tree],
        )
        return str(self.call(PUSH, request).session_id)

    def upload(
        self, node: int, reply: Outgoing, session: str, names: set[str] | None = None
    ) -> None:
        for name, content in reply.objects.items():
            if names is None or name in names:
                part = message_pb2.PushObjectRequest(
                    node=node_pb2.Node(node_id=node),
                    run_id=self.grid.run_id,
                    object_id=name,
                    object_content=content,
                    session_id=session,
                )
                assert self.call(OBJECT, part).stored

    def reply(self, node: int) -> Outgoing:
        message = Message(
            RecordDict({"said": ConfigRecord({"words": "yes"})}), reply_to=self.asked[node]
        )
        message.metadata.__dict__["_src_node_id"] = node
        return FleetConnection.outgoing(message)


@pytest.fixture
def run() -> Iterator[Run]:
    with opened() as opened_run:
        yield opened_run


@contextmanager
def opened() -> Iterator[Run]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        superlink = SuperLink(
            listener, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "coordinator", 1000
        )
        nodes = [
            superlink.register(ec.generate_private_key(ec.SECP384R1()).public_key(), name)
            for name in NAMES
        ]
        state = superlink._state
        for node in nodes:
            state.activate_node(node, HALF_A_MINUTE)
        app = superlink._polls._app
        assert isinstance(app, fleet_app.FleetApp)
        with superlink.run() as grid:
            yield Run(app, grid, nodes)


def words(replies: list[Message]) -> list[object]:
    return [reply.content["said"]["words"] for reply in replies]  # type: ignore[index]


def test_a_reply_is_taken_once_all_of_it_is_there(run: Run) -> None:
    run.ask(1.0)
    alice, bob = run.nodes
    reply = run.reply(alice)
    session = run.push(alice, reply)
    assert run.grid.collect(run.waiting) == []
    *first, last = reply.objects
    run.upload(alice, reply, session, set(first))
    assert run.grid.collect(run.waiting) == []
    run.upload(alice, reply, session, {last})
    assert words(run.grid.collect(run.waiting)) == ["yes"]
    assert run.waiting == {run.asked[bob].metadata.message_id}, "Bob is still waited for"


def test_site_that_leaves_during_its_reply_is_not_waited_for(run: Run) -> None:
    run.ask(1.0)
    alice, _ = run.nodes
    run.push(alice, run.reply(alice))
    run.app.state.nodes[alice].online_until = time.time() - 1
    assert run.grid.collect(run.waiting) == []
    assert run.asked[alice].metadata.message_id not in run.waiting


def test_flowers_answer_for_a_site_that_has_gone_is_taken(run: Run) -> None:
    run.ask(1.0)
    alice, _ = run.nodes
    run.app.state.nodes[alice].online_until = time.time() - 1
    (answer,) = run.grid.collect(run.waiting)
    assert answer.has_error()


def named(name: str, *below: message_pb2.ObjectTree) -> message_pb2.ObjectTree:
    return message_pb2.ObjectTree(object_id=name, children=below)


def doubling(levels: int) -> message_pb2.ObjectTree:
    """Each part is named twice by the one above: it unfolds to 2 to the power of the levels."""
    tree = named(f"{0:064x}")
    for level in range(1, levels):
        tree = named(f"{level:064x}", tree, named(tree.object_id))
    return tree


def test_exponential_tree_is_refused_before_it_is_stored(run: Run) -> None:
    run.ask(1.0)
    alice, _ = run.nodes
    reply = run.reply(alice)
    before = len(run.app.state.object_store)
    for tree in (
        doubling(14),
        named(reply.tree.object_id, *(named(f"{part:064x}") for part in range(40))),
        named("no-hash"),
    ):
        with pytest.raises(HTTPException) as raised:
            run.push(alice, reply, tree)
        assert raised.value.status_code == 400
    assert len(run.app.state.object_store) == before


def test_an_announcement_reserves_no_name(run: Run) -> None:
    """The names of the next weights are known: they are hashes of what every site may have."""
    run.ask(1.0)
    alice, bob = run.nodes
    reply, of_bob = run.reply(alice), run.reply(bob)
    before = set(run.app.state.object_store.store)
    run.push(alice, reply, named(reply.tree.object_id, *(named(name) for name in of_bob.objects)))
    assert set(run.app.state.object_store.store) == before
    run.upload(bob, of_bob, run.push(bob, of_bob))
    assert words(run.grid.collect(run.waiting)) == ["yes"]


def test_part_that_a_site_named_first_does_not_break_a_request(run: Run) -> None:
    """The next request may have the same weights as the last, whose name every site knows."""
    run.ask(1.0)
    alice, bob = run.nodes
    weights = RecordDict({"arrays": weights_record(np.full(10, 2.0, np.float32))})
    shared = weights["arrays"].object_id
    reply = run.reply(alice)
    run.push(alice, reply, named(reply.tree.object_id, named(shared)))
    run.ask(2.0)
    request = run.asked[bob]
    assert shared in get_all_nested_objects(request)
    assert run.app.state.object_store.get_object_tree(request.object_id) == get_object_tree(request)


def test_parts_that_make_no_message_are_never_taken(run: Run) -> None:
    run.ask(1.0)
    alice, bob = run.nodes
    reply, other = run.reply(alice), run.reply(bob)
    bare = named(reply.tree.object_id)  # the message without its content
    run.upload(alice, reply, run.push(alice, reply, bare), {reply.tree.object_id})
    assert run.grid.collect(run.waiting) == []
    assert run.asked[alice].metadata.message_id not in run.waiting
    run.upload(bob, other, run.push(bob, other))
    assert words(run.grid.collect(run.waiting)) == ["yes"]


def test_a_machine_that_slept_finds_its_run_still_open(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    awake = datetime.now(UTC) + timedelta(days=2)
    for module in ("in_memory_corestate", "corestate"):
        monkeypatch.setattr(f"flwr.supercore.corestate.{module}.now", lambda: awake, raising=False)
    for node in run.nodes:
        run.app.state.activate_node(node, HALF_A_MINUTE)
    run.ask(1.0)
    assert len(run.waiting) == len(run.nodes)
    assert "" not in run.waiting


def refused(run: Run, path: str, request: object, caller: int) -> int:
    """The HTTP status with which a call is refused."""
    with pytest.raises(HTTPException) as raised:
        run.call(path, request, caller)
    return raised.value.status_code


def test_nobody_answers_for_another(run: Run) -> None:
    run.ask(1.0)
    alice, bob = run.nodes
    of_bob = run.reply(bob)
    request = fleet_pb2.PushMessagesRequest(
        node=node_pb2.Node(node_id=alice),
        messages_list=[of_bob.head],
        message_object_trees=[of_bob.tree],
    )
    assert refused(run, PUSH, request, alice) == 403
    assert refused(run, PUSH, request, bob) == 401, "who signs is who is named"
    mine = run.reply(alice)
    mine.head.metadata.reply_to_message_id = run.asked[bob].metadata.message_id
    request = fleet_pb2.PushMessagesRequest(
        node=node_pb2.Node(node_id=alice),
        messages_list=[mine.head],
        message_object_trees=[mine.tree],
    )
    assert refused(run, PUSH, request, alice) == 403
    run.upload(bob, of_bob, run.push(bob, of_bob))
    assert words(run.grid.collect(run.waiting)) == ["yes"]


def test_nobody_uploads_for_another(run: Run) -> None:
    run.ask(1.0)
    alice, bob = run.nodes
    of_bob = run.reply(bob)
    session = run.push(bob, of_bob)
    name, content = next(iter(of_bob.objects.items()))
    part = message_pb2.PushObjectRequest(
        node=node_pb2.Node(node_id=alice),
        run_id=run.grid.run_id,
        object_id=name,
        object_content=content,
        session_id=session,
    )
    assert not run.call(OBJECT, part).stored


def test_nobody_reads_or_confirms_what_was_sent_to_another(run: Run) -> None:
    alice, bob = run.nodes
    secret = Message(
        RecordDict({"for": ConfigRecord({"bob": "alone"})}), dst_node_id=bob, message_type="query"
    )
    run.waiting = set(run.grid.push_messages([secret]))
    for name in get_all_nested_objects(secret):
        read = message_pb2.PullObjectRequest(
            node=node_pb2.Node(node_id=alice), run_id=run.grid.run_id, object_id=name
        )
        assert not run.call(READ, read).object_found
        read.node.node_id = bob
        assert run.call(READ, read).object_content
    confirm = message_pb2.ConfirmMessageReceivedRequest(
        node=node_pb2.Node(node_id=alice),
        run_id=run.grid.run_id,
        message_object_id=secret.object_id,
    )
    assert refused(run, CONFIRM, confirm, alice) == 403
    confirm.node.node_id = bob
    for _ in range(2):  # the answer to the first may have been lost
        run.call(CONFIRM, confirm)
    assert secret.object_id not in run.app.state.object_store.store


def test_a_reply_of_another_is_neither_read_nor_deleted(run: Run) -> None:
    run.ask(1.0)
    alice, bob = run.nodes
    of_bob = run.reply(bob)
    run.upload(bob, of_bob, run.push(bob, of_bob))
    for name in of_bob.objects:
        read = message_pb2.PullObjectRequest(
            node=node_pb2.Node(node_id=alice), run_id=run.grid.run_id, object_id=name
        )
        assert not run.call(READ, read).object_found
        confirm = message_pb2.ConfirmMessageReceivedRequest(
            node=node_pb2.Node(node_id=alice), run_id=run.grid.run_id, message_object_id=name
        )
        run.call(CONFIRM, confirm)
    assert words(run.grid.collect(run.waiting)) == ["yes"]


def test_one_reply_to_each_message(run: Run) -> None:
    run.ask(1.0)
    alice, _ = run.nodes
    first, second = run.reply(alice), run.reply(alice)
    session = run.push(alice, first)
    assert run.push(alice, first) == session, "the answer to the first may have been lost"
    two = fleet_pb2.PushMessagesRequest(
        node=node_pb2.Node(node_id=alice),
        messages_list=[second.head],
        message_object_trees=[second.tree],
    )
    assert refused(run, PUSH, two, alice) == 409
    both = fleet_pb2.PushMessagesRequest(
        node=node_pb2.Node(node_id=alice),
        messages_list=[first.head] * 2,
        message_object_trees=[first.tree] * 2,
    )
    assert refused(run, PUSH, both, alice) == 400
    run.upload(alice, first, session)
    assert run.push(alice, second) == "", "nobody waits for it"
    assert words(run.grid.collect(run.waiting)) == ["yes"]
    assert run.push(alice, first) == ""


def test_a_reply_has_a_largest_size(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.ask(1.0)
    alice, _ = run.nodes
    reply = run.reply(alice)
    session = run.push(alice, reply)
    monkeypatch.setattr(site_messages, "LARGEST_MESSAGE", 100)
    with pytest.raises(HTTPException) as raised:
        run.upload(alice, reply, session)
    assert raised.value.status_code == 413
    assert held(run) == 0
    assert run.grid.collect(run.waiting) == []
    assert run.asked[alice].metadata.message_id not in run.waiting


def held(run: Run) -> int:
    """Bytes of uploads that are kept."""
    uploads = [
        each.upload for each in run.app.messages._requests.values() if each.upload is not None
    ]
    return sum(len(part) for upload in uploads for part in upload.parts.values())


def test_what_nobody_waits_for_is_freed(run: Run) -> None:
    before = len(run.app.state.object_store)
    run.ask(1.0)
    alice, bob = run.nodes
    unfinished, whole = run.reply(alice), run.reply(bob)
    run.upload(alice, unfinished, run.push(alice, unfinished), set(list(unfinished.objects)[:1]))
    run.upload(bob, whole, run.push(bob, whole))
    assert held(run)
    run.grid._runtime.messages.remove(run.waiting)
    assert held(run) == 0
    assert len(run.app.state.object_store) == before
    assert not run.app.messages._requests
    assert run.push(alice, unfinished) == ""


def test_a_new_reply_ends_an_unfinished_one(run: Run) -> None:
    run.ask(1.0)
    alice, _ = run.nodes
    first = run.reply(alice)
    run.upload(alice, first, run.push(alice, first), set(list(first.objects)[:1]))
    run.ask(2.0)
    second = run.reply(alice)
    run.upload(alice, second, run.push(alice, second))
    assert held(run) == 0
    assert words(run.grid.collect(run.waiting)) == ["yes"]


def test_a_run_that_does_not_exist_is_over(run: Run) -> None:
    run.ask(1.0)
    alice, _ = run.nodes
    reply = run.reply(alice)
    reply.head.metadata.run_id = 12345
    with pytest.raises(FlowerError):
        run.push(alice, reply)


def answer(run: Run, node: int) -> None:
    request = run.call(PULL, fleet_pb2.PullMessagesRequest(node=node_pb2.Node(node_id=node)))
    run.asked[node] = Message(RecordDict(), dst_node_id=node, message_type="query")
    run.asked[node].metadata.__dict__["_message_id"] = request.messages_list[0].metadata.message_id
    run.asked[node].metadata.__dict__["_run_id"] = run.grid.run_id
    reply = run.reply(node)
    run.upload(node, reply, run.push(node, reply))


def phase(run: Run, answering: list[int], seconds: float) -> tuple[int, float]:
    """Ask both; these answer. How many answers came, and in what time."""
    messages = [Message(RecordDict(), dst_node_id=node, message_type="query") for node in run.nodes]
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(run.grid.send_and_receive, messages, timeout=seconds)
        wait(lambda: len(run.app.messages._requests) == len(messages))
        for node in answering:
            answer(run, node)
        return len(asking.result()), time.monotonic() - began


def connect_again(run: Run, node: int) -> None:
    run.call(
        "/v1/fleet/deactivate-node", fleet_pb2.DeactivateNodeRequest(node_id=node), caller=node
    )
    request = fleet_pb2.ActivateNodeRequest(
        public_key=run.app.state.nodes[node].public_key, heartbeat_interval=HALF_A_MINUTE
    )
    run.call(fleet_app.ACTIVATE, request, caller=node)


def wait(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.01)


def test_a_site_that_missed_a_phase_is_not_waited_for_again(run: Run) -> None:
    alice, bob = run.nodes
    assert phase(run, [bob], 1.0)[0] == 1
    assert [run.grid.is_late(node) for node in run.nodes] == [True, False]
    assert not run.app.messages._requests
    replies, seconds = phase(run, [bob], 60.0)
    assert replies == 1
    assert seconds < 30
    run.grid.enough = 2
    assert phase(run, [bob, alice], 60.0)[0] == 2, (
        "it is asked again, and waited for where the others are too few"
    )


def test_a_new_session_is_waited_for_again_but_only_once_in_a_run(run: Run) -> None:
    alice, bob = run.nodes
    for number, is_late in enumerate((False, True)):
        assert phase(run, [bob], 1.0)[0] == 1
        assert run.grid.is_late(alice)
        connect_again(run, alice)
        assert run.grid.is_late(alice) is is_late, f"after missing {number + 1} phases"
