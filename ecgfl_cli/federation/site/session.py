"""Answer the coordinator's requests during one session of a site."""

import contextlib
import logging
import time

from ecgfl_cli.errors import (
    EcgflError,
    MessageRefused,
    ModelRejected,
    PolicyRefused,
    RequestRefused,
    ServerRefused,
    ServerUnreachable,
    SessionLost,
    StageMissed,
)
from ecgfl_cli.federation.messages import (
    FAILED,
    MODEL_UNACCEPTABLE,
    POLICY_FORBIDS,
    SCHEMA_BROKEN,
    UNTRUSTED,
    Kind,
)
from ecgfl_cli.federation.site.participant import Participant
from ecgfl_cli.federation.transport import Delivered, Offer, RunOver, SiteTransport
from ecgfl_cli.logs import Event, event
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.outbox import Outbox

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""Pause between two polls of a coordinator without long polling."""

PATIENCE_SECONDS = 5.0
"""Longest time that the coordinator may hold a poll (long polling)."""

SHORTEST_PAUSE_SECONDS = 0.01
"""Pause between two polls of a coordinator with long polling."""

IDLE_POLL_SECONDS = 2.0
"""Pause between two polls of a coordinator without long polling after `IDLE_AFTER_SECONDS`."""

IDLE_AFTER_SECONDS = 60.0
"""Time after which a site that waits for a round polls less often."""

RUN_CHECK_SECONDS = 1.0
"""Time without a message after which the site asks whether the run is over."""

LINGER_SECONDS = 1.0
"""How long a site stays connected after a refusal. The coordinator does not receive the refusal of
a site that has disconnected."""

MOST_WITHDRAWN = 10
"""Largest number of messages in a row that the coordinator may withdraw before the site fetches
them. The site pauses for `POLL_SECONDS` after each."""

CODES: dict[type[EcgflError], int] = {
    PolicyRefused: POLICY_FORBIDS,
    ModelRejected: MODEL_UNACCEPTABLE,
    RequestRefused: UNTRUSTED,
    ServerRefused: SCHEMA_BROKEN,
}
"""Type of an error -> the code that the coordinator receives."""


def _patience(deadline: float) -> float:
    """Return how long the coordinator may hold a poll, in seconds, without passing the deadline."""
    return max(0.0, min(PATIENCE_SECONDS, deadline - time.monotonic()))


class Session:
    """One run at a site, from its first message to its end.

    Parameters
    ----------
    connection
        The connection to the coordinator.
    participant
        Handles the requests.
    audit
        Audit log of the site.

    Attributes
    ----------
    participant
        Handles the requests, and has the results of the run.
    not_taken
        Why this site did not accept the final model of an earlier run; None if it accepted it or
        received none.
    """

    def __init__(
        self,
        connection: SiteTransport,
        participant: Participant,
        audit: AuditLog,
    ) -> None:
        self._connection = connection
        self._audit = audit
        self._outbox = Outbox(audit, connection, participant.steps)
        self.participant = participant
        self._run_id: int | None = None
        self._first: Offer | None = None
        self._withdrawn = 0
        self.not_taken: PolicyRefused | ModelRejected | None = None

    @property
    def offered(self) -> bool:
        """Whether the coordinator has asked this site to take part in a round."""
        return self._first is not None

    def wait(self, deadline: float) -> bool:
        """Wait until the coordinator asks this site to take part in a round.

        Before that, the coordinator may send the final model of an earlier run.

        Parameters
        ----------
        deadline
            When to stop waiting, in seconds of `time.monotonic`.

        Returns
        -------
        bool
            Whether the coordinator has asked before the deadline.
        """
        began = time.monotonic()
        while self._first is None and time.monotonic() < deadline:
            offer = self._connection.receive(_patience(deadline))
            if offer is None:
                is_new = time.monotonic() - began < IDLE_AFTER_SECONDS
                self._pause(POLL_SECONDS if is_new else IDLE_POLL_SECONDS)
            elif offer.kind == Kind.CATCH_UP:
                with contextlib.suppress(RunOver):  # the next run sends the newest model again
                    self._catch_up(offer)
            else:
                self._first = offer
        return self.offered

    def _catch_up(self, offer: Offer) -> None:
        """Answer a `CatchUpRequest`.

        A site that does not accept the model of the earlier run may still take part in rounds.
        """
        try:
            self._answer(offer)
        except (PolicyRefused, ModelRejected) as error:
            self.not_taken = error
            _log.warning(
                f"the last run's model was not accepted: {error}",
                extra=event(Event.MODEL_JUDGED, accepted=False, reason=str(error)),
            )

    def take_part(self, deadline: float) -> None:
        """Answer messages until the run is over or the deadline has passed.

        The site stays connected until the coordinator has closed the run, because the coordinator
        loses the replies of a site that disconnects earlier.

        Parameters
        ----------
        deadline
            When to stop, in seconds of `time.monotonic`.

        Raises
        ------
        ServerUnreachable, SessionLost
            If the connection is lost before the final model has arrived.
        EcgflError
            If the site refuses a request or fails.
        """
        checked = time.monotonic()
        offer = self._first
        try:
            while time.monotonic() < deadline:
                if offer is not None and offer.kind == Kind.CATCH_UP:
                    self._catch_up(offer)
                elif offer is not None:
                    self._answer(offer)
                    checked = time.monotonic()
                elif time.monotonic() - checked > RUN_CHECK_SECONDS:
                    self._check_run()
                    checked = time.monotonic()
                else:
                    self._pause(POLL_SECONDS)
                offer = self._connection.receive(_patience(deadline))
        except RunOver:
            _log.info("the run is over", extra=event(Event.RUN_OVER))
        except (ServerUnreachable, SessionLost) as error:
            if self.participant.final is None:
                raise
            _log.info(
                f"the coordinator went away after the final model: {error.problem}",
                extra=event(Event.RUN_OVER, problem=error.problem),
            )

    def _pause(self, seconds: float) -> None:
        """Pause before the next poll, for `seconds` if the coordinator has no long polling."""
        time.sleep(SHORTEST_PAUSE_SECONDS if self._connection.was_delayed else seconds)

    def _check_run(self) -> None:
        """Raise `RunOver` if the coordinator has closed the run."""
        if self._run_id is not None:
            self._connection.is_ours(self._run_id)

    def _answer(self, offer: Offer) -> None:
        """Answer one message.

        If the site refuses or fails, it sends only a code to the coordinator and raises the error
        again.
        """
        self._require_run(offer.run_id)
        try:
            delivered = self._fetch(offer)
        except MessageRefused as error:
            self._audit.append("refused", by="message", reason=str(error))
            raise
        if delivered is None:
            return
        try:
            release = self.participant.answer(Kind(delivered.kind), delivered.content)
        except StageMissed as error:
            self._outbox.refuse(FAILED, str(error), delivered)
            _log.warning(str(error), extra=event(Event.REPLY_DROPPED, kind=delivered.kind))
            return
        except Exception as error:  # the coordinator must learn of any failure; it is raised again
            code = next((code for kind, code in CODES.items() if isinstance(error, kind)), FAILED)
            self._outbox.refuse(code, str(error), delivered)
            time.sleep(LINGER_SECONDS)
            raise
        if not self._outbox.send(release, delivered, self.participant.run):
            _log.warning(
                "the coordinator no longer waits for this reply",
                extra=event(Event.REPLY_DROPPED, kind=delivered.kind),
            )

    def _require_run(self, run_id: int) -> None:
        """Raise `ServerRefused` unless the run belongs to an ecgfl coordinator."""
        if run_id == self._run_id:
            return
        if not self._connection.is_ours(run_id):
            raise ServerRefused(
                f"the coordinator sent a message of run {run_id}, which is not a run of ecgfl",
                "Check --server: the address belongs to another Flower federation",
            )
        self._run_id = run_id

    def _fetch(self, offer: Offer) -> Delivered | None:
        """Fetch a message of a known kind; None if the coordinator has withdrawn it."""
        same_version = "Install the same ecgfl version on both sides; else tell the coordinator"
        if offer.kind not in {*Kind}:
            raise MessageRefused(
                f"the coordinator sent a message of the unknown kind {offer.kind[:80]!r}",
                same_version,
            )
        delivered = self._connection.fetch(offer)
        if delivered is None:
            self._count_withdrawn()
            return None
        self._withdrawn = 0
        if delivered.kind != offer.kind:
            raise MessageRefused(
                f"the coordinator announced a message of the kind {offer.kind!r} and sent one of "
                f"the kind {delivered.kind[:80]!r}",
                same_version,
            )
        return delivered

    def _count_withdrawn(self) -> None:
        """Count a withdrawn message; raise `MessageRefused` after too many in a row."""
        self._withdrawn += 1
        if self._withdrawn > MOST_WITHDRAWN:
            raise MessageRefused(
                f"the coordinator announced {self._withdrawn} messages in a row that could not be"
                " fetched",
                "Run ecgfl join again; if it happens again, tell the coordinator",
            )
        _log.warning(
            "the coordinator has withdrawn a request; waiting for the next",
            extra=event(Event.REQUEST_WITHDRAWN, in_a_row=self._withdrawn),
        )
        time.sleep(POLL_SECONDS)
