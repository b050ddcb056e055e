"""Carry the coordinator's messages over a Flower grid."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from flwr.app import ArrayRecord, Message

from ecgfl_cli.federation.flower.codec import arrays_of, content_of, record_of
from ecgfl_cli.federation.messages import Content
from ecgfl_cli.federation.transport import Reply, Request


class WaitingGrid(Protocol):
    """The methods that a grid must have."""

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages and return their ids."""
        ...

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Send messages and return the replies that arrive in time."""
        ...

    def collect(self, waiting: set[str]) -> list[Message]:
        """Return the replies that have arrived, and remove the ids that are settled."""
        ...


class GridTransport:
    """Carry messages over a grid; implements `CoordinatorTransport`.

    Parameters
    ----------
    grid
        The grid of the run.
    """

    def __init__(self, grid: WaitingGrid) -> None:
        self._grid = grid
        self._nodes: dict[str, int] = {}

    def ask(self, requests: Sequence[Request], timeout: float | None) -> list[Reply]:
        """Send requests and return the replies that arrive within `timeout` seconds."""
        messages = _messages(requests)
        replies = self._grid.send_and_receive(messages, timeout=timeout)
        nodes = {sent.metadata.message_id: sent.metadata.dst_node_id for sent in messages}
        return [_reply(reply, nodes) for reply in replies]

    def send(self, request: Request) -> str:
        """Send one request without waiting. Return its id for `collect`."""
        (message_id,) = self._grid.push_messages(_messages([request]))
        self._nodes[message_id] = request.node
        return message_id

    def collect(self, ids: set[str]) -> dict[str, Reply]:
        """Return the replies that have arrived, by the ids of their requests."""
        before = set(ids)
        replies = self._grid.collect(ids)
        arrived = {
            reply.metadata.reply_to_message_id: _reply(reply, self._nodes) for reply in replies
        }
        for message_id in before - ids:
            self._nodes.pop(message_id, None)
        return arrived


def _messages(requests: Sequence[Request]) -> list[Message]:
    """Return requests as messages. Requests with the same weights share one array."""
    arrays: dict[int, ArrayRecord] = {}
    for request in requests:
        weights = request.content.weights
        if weights is not None and id(weights) not in arrays:
            arrays[id(weights)] = arrays_of(weights)
    return [
        Message(
            content=record_of(request.content, arrays.get(id(request.content.weights))),
            dst_node_id=request.node,
            message_type=request.kind.value,
        )
        for request in requests
    ]


def _reply(message: Message, nodes: dict[str, int]) -> Reply:
    """Return a reply. Flower itself replies for a node that has gone, under another number."""
    node = nodes.get(message.metadata.reply_to_message_id, message.metadata.src_node_id)
    if message.has_error():
        return Reply(node, Content(), message.error.code)
    return Reply(node, content_of(message.content))
