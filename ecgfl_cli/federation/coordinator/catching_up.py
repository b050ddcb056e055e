"""Hands the last run's final model to the sites of this one: one that was away then has missed it."""

from collections.abc import Callable

from flwr.app import Message, MessageType, RecordDict

from ecgfl_cli.federation.coordinator.run_plan import Report
from ecgfl_cli.federation.flower.run_grid import RunGrid
from ecgfl_cli.federation.wire import MODEL_UNACCEPTABLE, VERDICTS, CatchUpReply, in_words, read_reply
from ecgfl_cli.training.acceptance import VerdictCode

Tell = Callable[[str, VerdictCode], None]
"""Takes a site's name and what came of its own test of the model."""


class CatchingUp:
    """Sends each site that connects the same model, once a connection, before it is asked to train.

    A site answers whether it accepts the model, also where it had it already. Called from one thread at a time.
    """

    def __init__(self, grid: RunGrid, model: RecordDict, report: Report, tell: Tell) -> None:
        self._grid, self._model, self._report, self._tell = grid, model, report, tell
        self._asked: dict[str, str] = {}

    def send(self, node: int, name: str) -> None:
        """Send it to a site that has just connected."""
        message = Message(self._model, dst_node_id=node, message_type=MessageType.QUERY)
        self._asked |= dict.fromkeys(self._grid.push_messages([message]), name)

    def collect(self) -> None:
        """Take the answers that have come."""
        waiting = set(self._asked)
        for reply in self._grid.collect(waiting):
            name = self._asked[reply.metadata.reply_to_message_id]
            if not reply.has_error():
                self._take(name, reply)
            else:
                if reply.error.code == MODEL_UNACCEPTABLE:
                    self._tell(name, "unusable")
                self._report(f"{name} did not take the last run's model: {in_words(reply.error.code)}")
        self._asked = {message_id: self._asked[message_id] for message_id in waiting}

    def _take(self, name: str, reply: Message) -> None:
        try:
            verdict = read_reply(reply, CatchUpReply).verdict
        except ValueError as error:
            self._report(f"{name}: its answer to the last run's model was dropped: {error}")
            return
        if verdict is not None:
            self._tell(name, VERDICTS[verdict])
