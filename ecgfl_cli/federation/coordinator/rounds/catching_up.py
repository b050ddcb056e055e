"""Send the last run's final model to the sites of this run, because an absent site missed it."""

import logging
from collections.abc import Callable, Mapping

from ecgfl_cli.federation.coordinator.runs.dropped import DropCode
from ecgfl_cli.federation.messages import (
    MODEL_UNACCEPTABLE,
    REFUSALS,
    VERDICTS,
    CatchUpReply,
    Content,
    Kind,
    audit_head_of,
    in_words,
    read_reply,
)
from ecgfl_cli.federation.transport import CoordinatorTransport, Reply, Request
from ecgfl_cli.logs import Event, event
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.printable import short_reason
from ecgfl_cli.site.audit import Head

_log = logging.getLogger(__name__)

Tell = Callable[[str, VerdictCode], None]
"""Is called with a site's name and its verdict on the model."""


class CatchingUp:
    """Sends the same model to each site that connects, once per connection and before a round.

    A site replies with its verdict on the model, also if it already had the model. The methods must
    be called from one thread at a time.

    Parameters
    ----------
    transport
        Carries the messages of the run.
    request
        Makes the request for a site, from the SHA-256 of the site's public node key.
    tell
        Is called with each verdict.
    receive_heads
        Is called with the heads of audit logs that came with replies, by site.
    """

    def __init__(
        self,
        transport: CoordinatorTransport,
        request: Callable[[str], Content],
        tell: Tell,
        receive_heads: Callable[[Mapping[str, Head]], None],
    ) -> None:
        self._transport = transport
        self._request = request
        self._tell = tell
        self._receive_heads = receive_heads
        self._asked: dict[str, str] = {}

    def send(self, node: int, name: str, fingerprint: str) -> None:
        """Send the model to a site that has just connected.

        Parameters
        ----------
        node
            Number of the site's session.
        name
            Name of the site.
        fingerprint
            SHA-256 of its public node key, in hexadecimal.
        """
        request = Request(node, Kind.CATCH_UP, self._request(fingerprint))
        self._asked[self._transport.send(request)] = name

    def collect(self) -> None:
        """Process the replies that have arrived."""
        waiting = set(self._asked)
        for request_id, reply in self._transport.collect(waiting).items():
            name = self._asked[request_id]
            if reply.error is None:
                self._take(name, reply)
                continue
            if reply.error == MODEL_UNACCEPTABLE:
                self._tell(name, "unusable")
            _log.warning(
                f"{name} did not accept the last run's model: {in_words(reply.error)}",
                extra=event(
                    Event.REPLY_DROPPED,
                    site=name,
                    code=DropCode.REFUSED if reply.error in REFUSALS else DropCode.FAILED,
                    reason=in_words(reply.error),
                ),
            )
        self._asked = {request_id: self._asked[request_id] for request_id in waiting}

    def _take(self, name: str, reply: Reply) -> None:
        try:
            head = audit_head_of(reply.content)
            verdict = read_reply(reply.content, CatchUpReply).verdict
        except Exception as error:  # noqa: BLE001 - no reply may end the run
            _log.warning(
                f"{name}: its reply about the last run's model was dropped: {short_reason(error)}",
                extra=event(
                    Event.REPLY_DROPPED,
                    site=name,
                    code=DropCode.INVALID,
                    reason=short_reason(error),
                ),
            )
            return
        if head is not None:
            self._receive_heads({name: head})
        if verdict is not None:
            self._tell(name, VERDICTS[verdict])
