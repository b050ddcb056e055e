"""A site's answers to the coordinator, message by message, in one connection."""

import contextlib
import time
from collections.abc import Callable

from flwr.app import Context, Error, Message, MessageType, RecordDict

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
from ecgfl_cli.federation.flower.fleet import FleetConnection, Incoming, RunOver
from ecgfl_cli.federation.site.participant import Participant
from ecgfl_cli.federation.messages import (
    FAILED,
    MODEL_UNACCEPTABLE,
    POLICY_FORBIDS,
    SCHEMA_BROKEN,
    UNTRUSTED,
    add_audit_head,
)
from ecgfl_cli.site.audit import AuditLog

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 5.0
"""For which the coordinator may hold the answer that there is no message. One that does not is asked every `POLL_SECONDS`, and
more seldom after `IDLE_AFTER_SECONDS`."""
SHORTEST_PAUSE_SECONDS = 0.01
IDLE_POLL_SECONDS = 2.0
IDLE_AFTER_SECONDS = 60.0
RUN_CHECK_SECONDS = 1.0
LINGER_SECONDS = 1.0
"""After a refusal: what a site said that has left is not delivered."""
MOST_TAKEN_BACK = 10
"""Number of messages in a row that may be taken back before they are fetched. Each is followed by a pause of `POLL_SECONDS`."""
LONGEST_REASON = 1000
"""Characters of a refusal's reason in the audit log: it may quote what the server sent."""

KINDS = (MessageType.TRAIN, MessageType.EVALUATE, MessageType.QUERY)
"""The kinds of messages that a coordinator sends."""

CODES: dict[type[EcgflError], int] = {
    PolicyRefused: POLICY_FORBIDS,
    ModelRejected: MODEL_UNACCEPTABLE,
    RequestRefused: UNTRUSTED,
    ServerRefused: SCHEMA_BROKEN,
}


def _patience(deadline: float) -> float:
    """How long an answer may be held, so that what ends meanwhile ends in time."""
    return max(0.0, min(PATIENCE_SECONDS, deadline - time.monotonic()))


class SiteNode:
    """One run, from its first message to its end."""

    def __init__(
        self,
        connection: FleetConnection,
        participant: Participant,
        audit: AuditLog,
        report: Callable[[str], None],
    ) -> None:
        self._connection, self._audit, self._report = connection, audit, report
        self.participant = participant
        self._app = participant.app()
        self._run_id: int | None = None
        self._first: Incoming | None = None
        self._number_taken_back = 0
        self.not_taken: PolicyRefused | ModelRejected | None = None
        """Why the last run's model was not, where that had to be caught up with."""

    @property
    def offered(self) -> bool:
        """Whether it was asked to take part in a round."""
        return self._first is not None

    def wait(self, deadline: float) -> bool:
        """Whether a round was offered before the deadline. A model of an earlier run, which comes before, is taken meanwhile."""
        began = time.monotonic()
        while self._first is None and time.monotonic() < deadline:
            received = self._connection.receive(_patience(deadline))
            if received is None:
                self._pause(
                    POLL_SECONDS
                    if time.monotonic() - began < IDLE_AFTER_SECONDS
                    else IDLE_POLL_SECONDS
                )
            elif received.kind == MessageType.QUERY:
                with contextlib.suppress(RunOver):  # the next run brings the newest model again
                    self._catch_up(received)
            else:
                self._first = received
        return self.offered

    def _catch_up(self, received: Incoming) -> None:
        """A model that this site does not take is no reason to take part in no round either."""
        try:
            self._answer(received)
        except (PolicyRefused, ModelRejected) as error:
            self.not_taken = error
            self._report(f"the last run's model was not taken: {error}")

    def take_part(self, deadline: float) -> None:
        """Answer messages until the run is over or time is up.

        A site stays until the coordinator has closed the run: the replies of one that leaves before are lost.
        """
        checked = time.monotonic()
        received = self._first
        try:
            while time.monotonic() < deadline:
                if received is not None and received.kind == MessageType.QUERY:
                    self._catch_up(received)
                elif received is not None:
                    self._answer(received)
                    checked = time.monotonic()
                elif time.monotonic() - checked > RUN_CHECK_SECONDS:
                    self._check_run()
                    checked = time.monotonic()
                else:
                    self._pause(POLL_SECONDS)
                received = self._connection.receive(_patience(deadline))
        except RunOver:
            self._report("the run is over")
        except (ServerUnreachable, SessionLost) as error:
            if self.participant.final is None:
                raise
            self._report(f"the coordinator went away after the final model: {error.problem}")

    def _pause(self, usual: float) -> None:
        """Between two questions for messages."""
        time.sleep(SHORTEST_PAUSE_SECONDS if self._connection.was_held else usual)

    def _check_run(self) -> None:
        """Raises `RunOver` once the coordinator has closed the run."""
        if self._run_id is not None:
            self._connection.is_ours(self._run_id)

    def _taken_back(self) -> None:
        """Count a message that the coordinator took back before it was fetched. Raises `MessageRefused` if none ever arrives."""
        self._number_taken_back += 1
        if self._number_taken_back > MOST_TAKEN_BACK:
            raise MessageRefused(
                f"the coordinator announced {self._number_taken_back} messages in a row that could not be fetched",
                "Run ecgfl join again; if it happens again, tell the coordinator",
            )
        self._report(
            "the coordinator no longer waits for an answer to its last message; waiting for the next"
        )
        time.sleep(POLL_SECONDS)

    def _answer(self, incoming: Incoming) -> None:
        """Answer one message. A failure here is told to the coordinator as a code only, then raised."""
        run_id = incoming.run_id
        if run_id != self._run_id:
            if not self._connection.is_ours(run_id):
                raise ServerRefused(
                    "the coordinator offers a run that is not ecgfl's",
                    "Check --server: it is another Flower federation",
                )
            self._run_id = run_id
        try:
            if incoming.kind not in KINDS:
                raise MessageRefused(
                    f"the coordinator sent a message of the unknown kind {incoming.kind[:80]!r}",
                    "Install the same ecgfl version on both sides; else tell the coordinator",
                )
            message = self._connection.fetch(incoming)
            if message is None:
                self._taken_back()
                return
            self._number_taken_back = 0
            if message.metadata.message_type != incoming.kind:
                raise MessageRefused(
                    f"the coordinator announced a message of the kind {incoming.kind!r} and sent another",
                    "Install the same ecgfl version on both sides; else tell the coordinator",
                )
        except MessageRefused as error:
            self._audit.append("refused", by="message", reason=str(error))
            raise
        try:
            context = Context(
                run_id=run_id,
                node_id=self._connection.node_id,
                node_config={},
                state=RecordDict(),
                run_config={},
            )
            reply = self._app(message=message, context=context)
            add_audit_head(reply.content, self._audit.last())
        except Exception as error:
            code = next((code for kind, code in CODES.items() if isinstance(error, kind)), FAILED)
            refusal = self._connection.outgoing(Message(Error(code, "refused"), reply_to=message))
            self._audit.append(
                "refused",
                code=code,
                reason=str(error)[:LONGEST_REASON],
                bytes=refusal.size,
                sha256=refusal.sha256,
            )
            self._connection.send(refusal)
            time.sleep(LINGER_SECONDS)
            raise
        outgoing = self._connection.outgoing(reply)
        metrics = {name: dict(record) for name, record in reply.content.metric_records.items()}
        self._audit.append(
            "send",
            kind=message.metadata.message_type,
            run=self.participant.run,
            bytes=outgoing.size,
            sha256=outgoing.sha256,
            metrics=metrics,
        )
        if not self._connection.send(outgoing):
            self._report("the coordinator no longer waits for this reply")
