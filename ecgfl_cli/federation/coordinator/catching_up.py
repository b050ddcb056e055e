"""Sends the last run's final model to the sites of this run, because a site that was away has missed it."""

from collections.abc import Callable, Mapping

from flwr.app import Message, MessageType, RecordDict

from ecgfl_cli.federation.coordinator.run_plan import Report
from ecgfl_cli.federation.flower.run_grid import RunGrid
from ecgfl_cli.federation.wire import (
    MODEL_UNACCEPTABLE,
    VERDICTS,
    CatchUpReply,
    in_words,
    read_reply,
    take_audit_head,
)
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.printable import short_reason
from ecgfl_cli.site.audit import Head

Tell = Callable[[str, VerdictCode], None]
"""Called with a site's name and its verdict on the model."""


class CatchingUp:
    """Sends the same model to each site that connects, once per connection and before the site is asked to train.

    A site replies with its verdict on the model, also if it already had the model. The methods must be called from one thread at
    a time.

    request : makes the request for a site; takes the SHA-256 of the site's public node key. receive_heads : called with the
        heads of audit logs that came with replies, by site.
    """

    def __init__(
        self,
        grid: RunGrid,
        request: Callable[[str], RecordDict],
        report: Report,
        tell: Tell,
        receive_heads: Callable[[Mapping[str, Head]], None],
    ) -> None:
        self._grid, self._request, self._report, self._tell = grid, request, report, tell
        self._receive_heads = receive_heads
        self._asked: dict[str, str] = {}

    def send(self, node: int, name: str, fingerprint: str) -> None:
        """Send the model to a site that has just connected. fingerprint : SHA-256 of its public node key, in hexadecimal."""
        message = Message(
            self._request(fingerprint), dst_node_id=node, message_type=MessageType.QUERY
        )
        self._asked |= dict.fromkeys(self._grid.push_messages([message]), name)

    def collect(self) -> None:
        """Process the replies that have arrived."""
        waiting = set(self._asked)
        for reply in self._grid.collect(waiting):
            name = self._asked[reply.metadata.reply_to_message_id]
            if not reply.has_error():
                self._take(name, reply)
            else:
                if reply.error.code == MODEL_UNACCEPTABLE:
                    self._tell(name, "unusable")
                self._report(
                    f"{name} did not take the last run's model: {in_words(reply.error.code)}"
                )
        self._asked = {message_id: self._asked[message_id] for message_id in waiting}

    def _take(self, name: str, reply: Message) -> None:
        try:
            head = take_audit_head(reply)
            verdict = read_reply(reply, CatchUpReply).verdict
        except Exception as error:  # noqa: BLE001 - a reply from a site may break any parser
            self._report(
                f"{name}: its reply about the last run's model was dropped: {short_reason(error)}"
            )
            return
        if head is not None:
            self._receive_heads({name: head})
        if verdict is not None:
            self._tell(name, VERDICTS[verdict])
