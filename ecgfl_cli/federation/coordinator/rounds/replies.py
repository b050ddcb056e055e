"""Sort the replies of a phase into usable and dropped ones."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from ecgfl_cli.errors import ServerError
from ecgfl_cli.federation.coordinator.runs.dropped import (
    DropCode,
    Dropped,
    UnusableReply,
    drop_code,
)
from ecgfl_cli.federation.messages import REFUSALS, audit_head_of, in_words
from ecgfl_cli.federation.transport import Reply
from ecgfl_cli.logs import Event, event
from ecgfl_cli.printable import short_reason
from ecgfl_cli.site.audit import Head

_log = logging.getLogger(__name__)

Figures = TypeVar("Figures")

SERVE_AGAIN = (
    "See which sites dropped out, then serve again: the run continues after the last finished round"
)
"""What to do about a round with too few usable replies."""


class RoundFailed(ServerError):
    """Too few usable replies: the last checkpoint stands."""


class EnrolledSites(Protocol):
    """What is needed of the sites to judge their replies."""

    def enrolled_nodes(self) -> set[int]:
        """Return the nodes whose key has not been revoked."""
        ...

    def receive_audit_heads(self, heads: Mapping[str, Head]) -> None:
        """Store the heads of audit logs, by site, which came with replies."""
        ...


class PhaseReplies:
    """Replies of the sites that were asked in the present phase.

    Parameters
    ----------
    sites
        The sites.

    Attributes
    ----------
    names
        Node -> name of each site that was asked.
    refused
        Nodes that refused a request. They are not asked again in this run, because they would
        refuse again.
    refused_names
        Names of these sites.
    """

    def __init__(self, sites: EnrolledSites) -> None:
        self._sites = sites
        self.names: dict[int, str] = {}
        self.refused: set[int] = set()
        self.refused_names: set[str] = set()

    def name(self, reply: Reply) -> str:
        """Return the name of the site that replied."""
        return self.names.get(reply.node, "an unknown node")

    def sorted_out(
        self, replies: Sequence[Reply], check: Callable[[Reply], Figures]
    ) -> tuple[list[tuple[Reply, Figures]], list[Dropped]]:
        """Check the replies, and store the heads of the audit logs that came with usable ones.

        Parameters
        ----------
        replies
            The replies of a phase.
        check
            Returns the figures of a reply, or raises an error that says why it is not usable.

        Returns
        -------
        usable
            The usable replies with their figures, in the order of the sites' names, because the
            sum of floats depends on their order.
        dropped
            The sites without a usable reply.
        """
        replies = sorted(replies, key=self.name)
        dropped = self._silent(replies)
        enrolled = self._sites.enrolled_nodes()
        usable: list[tuple[Reply, Figures]] = []
        heads: dict[str, Head] = {}
        for reply in replies:
            try:
                self._refuse_errors(reply)
                if reply.node not in enrolled:
                    raise UnusableReply(DropCode.REVOKED, "its key was revoked meanwhile")
                head = audit_head_of(reply.content)
                usable.append((reply, check(reply)))
                if head is not None:
                    heads[self.name(reply)] = head
            except Exception as error:  # noqa: BLE001 - no reply may end the run
                code, reason = drop_code(error), short_reason(error)
                dropped.append(Dropped(self.name(reply), code, reason))
        if heads:
            self._sites.receive_audit_heads(heads)
        return usable, dropped

    def _refuse_errors(self, reply: Reply) -> None:
        """Raise `UnusableReply` for a refusal or failure."""
        if reply.error is None:
            return
        code = DropCode.FAILED
        if reply.error in REFUSALS:
            code = DropCode.REFUSED
            self.refused.add(reply.node)
            self.refused_names.add(self.name(reply))
        raise UnusableReply(code, in_words(reply.error))

    def _silent(self, replies: Sequence[Reply]) -> list[Dropped]:
        """Return the sites that were asked and did not answer."""
        silent = set(self.names.values()) - {self.name(reply) for reply in replies}
        return [Dropped(name, DropCode.NO_ANSWER, "no answer") for name in sorted(silent)]


def log_dropped(this_round: int, dropped: Sequence[Dropped]) -> None:
    """Log each dropped reply of a round."""
    for reply in dropped:
        _log.warning(
            f"reply dropped: {reply}",
            extra=event(
                Event.REPLY_DROPPED,
                site=reply.site,
                round=this_round,
                code=reply.code,
                reason=reply.reason,
            ),
        )
