"""Answer the coordinator's requests during one session of a site."""

import contextlib
import time
from collections.abc import Callable

from ecgfl_cli.errors import (
    EcgflError,
    MessageRefused,
    ModelRejected,
    PolicyRefused,
    RequestRefused,
    ServerRefused,
    ServerUnreachable,
    SessionLost,
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
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.outbox import Outbox

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 5.0
"""How long the coordinator may delay the answer that there is no message. A coordinator that does
not delay it is asked every `POLL_SECONDS`, and less often after `IDLE_AFTER_SECONDS`."""
SHORTEST_PAUSE_SECONDS = 0.01
IDLE_POLL_SECONDS = 2.0
IDLE_AFTER_SECONDS = 60.0
RUN_CHECK_SECONDS = 1.0
LINGER_SECONDS = 1.0
"""How long a site stays after a refusal. The coordinator does not receive it from a site that has
left."""
MOST_WITHDRAWN = 10
"""Number of messages in a row that the coordinator may withdraw before they are fetched. Each is
followed by a pause of `POLL_SECONDS`."""

CODES: dict[type[EcgflError], int] = {
    PolicyRefused: POLICY_FORBIDS,
    ModelRejected: MODEL_UNACCEPTABLE,
    RequestRefused: UNTRUSTED,
    ServerRefused: SCHEMA_BROKEN,
}


def _patience(deadline: float) -> float:
    """Return how long the coordinator may delay an answer, so that the session ends in time."""
    return max(0.0, min(PATIENCE_SECONDS, deadline - time.monotonic()))


class Session:
    """One run of a site, from its first message to its end.

    Parameters
    ----------
    connection
        The connection to the coordinator.
    participant
        Handles the requests.
    audit
        Audit log of the site.
    report
        Is called with a line for the person who watches.
    """

    def __init__(
        self,
        connection: SiteTransport,
        participant: Participant,
        audit: AuditLog,
        report: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._audit = audit
        self._report = report
        self._outbox = Outbox(audit, connection)
        self.participant = participant
        self._run_id: int | None = None
        self._first: Offer | None = None
        self._withdrawn = 0
        self.not_taken: PolicyRefused | ModelRejected | None = None
        """Why this site did not accept the last run's model, if it did not."""

    @property
    def offered(self) -> bool:
        """Whether the coordinator has asked this site to take part in a round."""
        return self._first is not None

    def wait(self, deadline: float) -> bool:
        """Wait for a round, and return whether there is one before the deadline.

        A model of an earlier run, which the coordinator sends first, is accepted meanwhile.
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
        """Answer a request to accept a model of an earlier run.

        A site that does not accept this model may still take part in rounds.
        """
        try:
            self._answer(offer)
        except (PolicyRefused, ModelRejected) as error:
            self.not_taken = error
            self._report(f"the last run's model was not accepted: {error}")

    def take_part(self, deadline: float) -> None:
        """Answer messages until the run is over or the deadline has passed.

        A site stays until the coordinator has closed the run, because the replies of a site that
        leaves earlier are lost.
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
            self._report("the run is over")
        except (ServerUnreachable, SessionLost) as error:
            if self.participant.final is None:
                raise
            self._report(f"the coordinator went away after the final model: {error.problem}")

    def _pause(self, usual: float) -> None:
        """Wait before the next question for messages."""
        time.sleep(SHORTEST_PAUSE_SECONDS if self._connection.was_delayed else usual)

    def _check_run(self) -> None:
        """Raise `RunOver` if the coordinator has closed the run."""
        if self._run_id is not None:
            self._connection.is_ours(self._run_id)

    def _answer(self, offer: Offer) -> None:
        """Answer one message.

        If the site refuses or fails, the coordinator receives only a code, and the error is raised
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
        except Exception as error:
            code = next((code for kind, code in CODES.items() if isinstance(error, kind)), FAILED)
            self._outbox.refuse(code, str(error), delivered)
            time.sleep(LINGER_SECONDS)
            raise
        if not self._outbox.send(release, delivered, self.participant.run):
            self._report("the coordinator no longer waits for this reply")

    def _require_run(self, run_id: int) -> None:
        """Raise `ServerRefused` unless the run is one of an ecgfl coordinator."""
        if run_id == self._run_id:
            return
        if not self._connection.is_ours(run_id):
            raise ServerRefused(
                "the coordinator offers a run that is not ecgfl's",
                "Check --server: it is another Flower federation",
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
                f"the coordinator announced a message of the kind {offer.kind!r} and sent another",
                same_version,
            )
        return delivered

    def _count_withdrawn(self) -> None:
        """Count a message that was withdrawn. Raise `MessageRefused` if no message ever arrives."""
        self._withdrawn += 1
        if self._withdrawn > MOST_WITHDRAWN:
            raise MessageRefused(
                f"the coordinator announced {self._withdrawn} messages in a row that could not be"
                " fetched",
                "Run ecgfl join again; if it happens again, tell the coordinator",
            )
        self._report("the coordinator has withdrawn a request; waiting for the next")
        time.sleep(POLL_SECONDS)
