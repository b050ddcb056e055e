"""The sites' replies in Flower's state: what is let in, and which of them can be taken.

Flower stores whatever tree of parts a site names and unfolds it whenever it looks at the reply. It would end the run over parts
that cannot be put together, take a reply's own word for whom it is from, and wait for a missing part for hours.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import cast

from ecgfl_adapters.errors import LIBRARY_ERRORS
from flwr.app import Message
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import ObjectTree
from flwr.server.superlink.linkstate import InMemoryLinkState
from flwr.supercore.constant import NodeStatus
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.object_store.in_memory_object_store import InMemoryObjectStore

from ecgfl_cli.federation.flower.message_bounds import MOST_PARTS, MessageTooLarge, check_part, check_tree


@contextlib.contextmanager
def undisturbed(state: InMemoryLinkState) -> Iterator[InMemoryObjectStore]:
    """While messages are stored: Flower registers their parts one by one, and another site's confirmation may remove one that
    they share. In the order in which Flower itself takes the locks.
    """
    store = state.object_store
    assert isinstance(store, InMemoryObjectStore)
    with state.lock, state._lock_object_push_sessions, store.lock_store:
        yield store


def check_pushed(request: PushMessagesRequest, store: InMemoryObjectStore) -> None:
    """Raises `ValueError` for a tree that no reply of ours has: too many parts, one named twice, or a part that is known already
    with other parts below it, as which it would spoil the messages of others that share it.
    """
    for tree in request.message_object_trees:
        check_tree(tree)
        names = [part.object_id for part in iterate_object_tree(tree)]
        if len(set(names)) < len(names):
            raise ValueError("a part that is named twice")
        if differing(tree, store):
            raise ValueError("a part that is known with others below it")


def differing(tree: ObjectTree, store: InMemoryObjectStore) -> list[ObjectTree]:
    """The parts that the store knows with others below them than here."""
    return [part for part in iterate_object_tree(tree) if part.object_id in store.store and _below(part) != _known(part, store)]


def put_right(tree: ObjectTree, store: InMemoryObjectStore) -> None:
    """Let the store know the parts of a message of ours as they are: a site may have named one of them before, without those
    below it. Their content it cannot have made up: a part's name is its hash.
    """
    for part in differing(tree, store):
        entry = store.store[part.object_id]
        for name in _below(part):
            store.store[name].ref_count += 1
        for name in entry.child_object_ids:
            store.store[name].ref_count -= 1
        entry.child_object_ids = _below(part)


def _below(part: ObjectTree) -> list[str]:
    return [child.object_id for child in part.children]


def _known(part: ObjectTree, store: InMemoryObjectStore) -> list[str]:
    return store.store[part.object_id].child_object_ids


def sorted_out(message_ids: set[str], state: InMemoryLinkState) -> tuple[set[str], set[str]]:
    """Of these requests, those whose answer can be taken now (Flower's own, that the site has gone, included), and those to which
    no usable one will come. To the others one may still come.
    """
    ready: set[str] = set()
    lost: set[str] = set()
    with state.lock:
        for message_id in message_ids:
            reply = state.message_res_store.get(state.message_ins_id_to_message_res_id.get(message_id, ""))
            if reply is None:
                request = state.message_ins_store.get(message_id)
                if request is None or not _is_online(request.metadata.dst_node_id, state):
                    ready.add(message_id)
                continue
            whole = _is_whole(reply, state)
            if whole:
                ready.add(message_id)
            elif whole is False or not _is_online(reply.metadata.src_node_id, state):
                lost.add(message_id)
    return ready, lost


def _is_online(node_id: int, state: InMemoryLinkState) -> bool:
    node = state.nodes.get(node_id)
    return node is not None and node.status != NodeStatus.UNREGISTERED and (node.online_until or 0.0) > time.time()


def _is_whole(announced: Message, state: InMemoryLinkState) -> bool | None:
    """None while parts are missing, False where they make no message, or another one than was announced."""
    name = announced.metadata.message_id
    store = state.object_store
    assert isinstance(store, InMemoryObjectStore)
    try:
        parts = _parts(name, store)
        if parts is None:
            return True  # given up by Flower, which answers for it with an error
        if not all(parts.values()):
            return None
        for content in parts.values():
            check_part(content)
        metadata = cast(Message, inflate_object_from_contents(name, parts)).metadata
    except LIBRARY_ERRORS:
        return False
    of_whom = announced.metadata
    return (metadata.reply_to_message_id, metadata.src_node_id) == (of_whom.reply_to_message_id, of_whom.src_node_id)


def _parts(name: str, store: InMemoryObjectStore) -> dict[str, bytes] | None:
    """A message's parts by name, empty where they have not come; None where Flower has dropped one. Raises `MessageTooLarge`."""
    parts: dict[str, bytes] = {}
    to_do = [name]
    looked = 0
    while to_do:
        looked += 1
        if looked > MOST_PARTS:
            raise MessageTooLarge(f"a message of more than {MOST_PARTS} parts")
        part = to_do.pop()
        entry = store.store.get(part)
        if entry is None:
            return None
        parts[part] = entry.content
        to_do += entry.child_object_ids
    return parts
