"""What enrolled sites may put into Flower's state, and what of it ends up in a round: without a network."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import HTTPException
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.proto import fleet_pb2, message_pb2, node_pb2
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree, iterate_object_tree
from starlette.requests import Request

from ecgfl_cli.federation.flower import fleet_app
from ecgfl_cli.federation.flower.fleet import FleetConnection, Outgoing
from ecgfl_cli.federation.flower.run_grid import RunGrid
from ecgfl_cli.federation.flower.superlink import SuperLink
from ecgfl_cli.federation.wire import weights_record

NAMES = ("alice", "bob")
HALF_A_MINUTE = 30.0
PUSH, PULL, OBJECT = fleet_app.PUSH_MESSAGES, fleet_app.PULL_MESSAGES, fleet_app.PUSH_OBJECT


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
            assert len(self.call(PULL, fleet_pb2.PullMessagesRequest(node=node_pb2.Node(node_id=node))).messages_list) == 1

    def call(self, path: str, request: object) -> object:
        """As a site that has signed its call."""
        call = Request({"type": "http", "method": "POST", "path": path, "headers": []})
        call.state.protobuf_request = request
        answered = self.app._authenticated(call, fleet_app.ANSWERS[path])
        kinds = {
            PUSH: fleet_pb2.PushMessagesResponse,
            PULL: fleet_pb2.PullMessagesResponse,
            OBJECT: message_pb2.PushObjectResponse,
        }
        return kinds[path].FromString(bytes(answered.body))

    def push(self, node: int, reply: Outgoing, tree: message_pb2.ObjectTree | None = None) -> str:
        """Announce a reply; returns the session for its parts."""
        request = fleet_pb2.PushMessagesRequest(
            node=node_pb2.Node(node_id=node), messages_list=[reply.head], message_object_trees=[tree or reply.tree]
        )
        return str(self.call(PUSH, request).session_id)  # type: ignore[attr-defined]

    def upload(self, node: int, reply: Outgoing, session: str, names: set[str] | None = None) -> None:
        for name, content in reply.objects.items():
            if names is None or name in names:
                part = message_pb2.PushObjectRequest(
                    node=node_pb2.Node(node_id=node),
                    run_id=self.grid.run_id,
                    object_id=name,
                    object_content=content,
                    session_id=session,
                )
                assert self.call(OBJECT, part).stored  # type: ignore[attr-defined]

    def reply(self, node: int) -> Outgoing:
        message = Message(RecordDict({"said": ConfigRecord({"words": "yes"})}), reply_to=self.asked[node])
        message.metadata.__dict__["_src_node_id"] = node
        return FleetConnection.outgoing(message)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(fleet_app, "authenticate_node", lambda _: None)
    with opened() as opened_run:
        yield opened_run


@contextmanager
def opened() -> Iterator[Run]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        superlink = SuperLink(listener, Path("server.crt"), Path("server.key"))
        nodes = [superlink.register(ec.generate_private_key(ec.SECP384R1()).public_key(), name) for name in NAMES]
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


def test_of_a_site_that_goes_in_the_midst_of_its_reply_nothing_is_waited_for(run: Run) -> None:
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
    """Each part is named twice by the one above, once without what is below it: it unfolds to 2 to the power of levels."""
    tree = named(f"{0:064x}")
    for level in range(1, levels):
        tree = named(f"{level:064x}", tree, named(tree.object_id))
    return tree


def test_a_tree_that_unfolds_without_end_is_refused_before_it_is_stored(run: Run) -> None:
    run.ask(1.0)
    alice, _ = run.nodes
    reply = run.reply(alice)
    before = len(run.app.state.object_store)
    for tree in (doubling(14), named(reply.tree.object_id, *(named(f"{part:064x}") for part in range(40))), named("no-hash")):
        with pytest.raises(HTTPException) as raised:
            run.push(alice, reply, tree)
        assert raised.value.status_code == 400
    assert len(run.app.state.object_store) == before


def test_a_known_part_cannot_be_named_without_what_is_below_it(run: Run) -> None:
    run.ask(1.0)
    alice, _ = run.nodes
    shared = next(part for part in iterate_object_tree(get_object_tree(run.asked[alice])) if part.children)
    reply = run.reply(alice)
    with pytest.raises(HTTPException) as raised:
        run.push(alice, reply, named(reply.tree.object_id, named(shared.object_id)))
    assert raised.value.status_code == 400


def test_a_part_that_a_site_named_first_does_not_spoil_the_next_request(run: Run) -> None:
    """The weights of the next request may be the same part as those of the last one, whose name every site knows."""
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


def test_a_machine_that_slept_finds_its_run_still_open(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    awake = datetime.now(UTC) + timedelta(days=2)
    for module in ("in_memory_corestate", "corestate"):
        monkeypatch.setattr(f"flwr.supercore.corestate.{module}.now", lambda: awake, raising=False)
    for node in run.nodes:
        run.app.state.activate_node(node, HALF_A_MINUTE)
    run.ask(1.0)
    assert len(run.waiting) == len(run.nodes)
    assert "" not in run.waiting
