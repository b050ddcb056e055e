"""Hands the last run's final model to the sites of this one: one that was away then has missed it."""

from flwr.app import Message, MessageType, RecordDict

from ecgfl_cli.federation.coordinator.run_plan import Report
from ecgfl_cli.federation.flower.run_grid import RunGrid
from ecgfl_cli.federation.wire import in_words


class CatchingUp:
    """Sends each site that connects the same model, once a connection, before it is asked to train.

    The sites do not say whether they had it already; what is heard of are refusals. Called from one thread at a time.
    """

    def __init__(self, grid: RunGrid, model: RecordDict, report: Report) -> None:
        self._grid, self._model, self._report = grid, model, report
        self._asked: dict[str, str] = {}

    def send(self, node: int, name: str) -> None:
        """Send it to a site that has just connected."""
        message = Message(self._model, dst_node_id=node, message_type=MessageType.QUERY)
        self._asked |= dict.fromkeys(self._grid.push_messages([message]), name)

    def collect(self) -> None:
        """Take the answers that have come."""
        waiting = set(self._asked)
        for reply in self._grid.collect(waiting):
            if reply.has_error():
                name = self._asked[reply.metadata.reply_to_message_id]
                self._report(f"{name} did not take the last run's model: {in_words(reply.error.code)}")
        self._asked = {message_id: self._asked[message_id] for message_id in waiting}
