"""A site's part in the federation: one outgoing connection, no listening port, no code from the server."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from ecgfl_adapters.errors import LIBRARY_ERRORS
from flwr.app import Context, Error, Message, MessageType, RecordDict

from ecgfl_cli.errors import (
    EcgflError,
    MessageRefused,
    ModelRejected,
    PolicyRefused,
    ServerError,
    ServerRefused,
    ServerUnreachable,
    SessionLost,
)
from ecgfl_cli.federation.federation_file import Federation
from ecgfl_cli.federation.flower.fleet import FleetConnection, Incoming, RunOver
from ecgfl_cli.federation.site.participant import FinalModel, Participant
from ecgfl_cli.federation.site.prompt_end import prompt_end
from ecgfl_cli.federation.site.time_limit import time_limit
from ecgfl_cli.federation.wire import FAILED, MODEL_UNACCEPTABLE, POLICY_FORBIDS, SCHEMA_BROKEN
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import load_node_key
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.site.policy_changes import note_policy
from ecgfl_cli.site.priority import give_way
from ecgfl_cli.site.settings import SiteSettings
from ecgfl_cli.training.dataset import require_training_data

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 5.0
"""For which the coordinator may hold the answer that there is no message. One that does not is asked every `POLL_SECONDS`, and
more seldom after `IDLE_AFTER_SECONDS`."""
SHORTEST_PAUSE_SECONDS = 0.01
IDLE_POLL_SECONDS = 2.0
IDLE_AFTER_SECONDS = 60.0
RUN_CHECK_SECONDS = 1.0
LONGEST_PATIENCE_SECONDS = 30.0
FIRST_RECONNECT_SECONDS, LAST_RECONNECT_SECONDS = 2.0, 60.0
HOURS_CHECK_SECONDS = 60.0
LINGER_SECONDS = 1.0
"""After a refusal: what a site said that has left is not delivered."""
LONGEST_END_SECONDS = 9.0
"""Leaving in order takes five at most; what takes longer is stuck."""

LONGEST_REASON = 1000
"""Characters of a refusal's reason in the audit log: it may quote what the server sent."""

CODES: dict[type[EcgflError], int] = {
    PolicyRefused: POLICY_FORBIDS,
    ModelRejected: MODEL_UNACCEPTABLE,
    ServerRefused: SCHEMA_BROKEN,
}


@dataclass(frozen=True)
class JoinOptions:
    """server : "HOST:PORT". ca : PEM bytes, None for plain HTTP to a loopback address. Times in seconds.

    max_wait : for the coordinator to be there and to offer a run.
    """

    server: str
    ca: bytes | None
    once: bool
    max_wait: float
    max_time: float


@dataclass(frozen=True)
class Participation:
    """What came of it.

    final : the run's last model, None when it ended without one. caught_up : an earlier run's, which this site had missed.
    """

    participated: bool = False
    run: str | None = None
    rounds: int = 0
    final: FinalModel | None = None
    caught_up: FinalModel | None = None


def participate(
    home: Home, settings: SiteSettings, federation: Federation, options: JoinOptions, report: Callable[[str], None]
) -> Participation:
    """Take part in one run (`once`) or in run after run until interrupted or out of time.

    A coordinator that is not there, or that lost this session, is tried again: with `once` until `max_wait` is over, else for
    ever. Raises `ServerUnreachable` after that, and any other `ServerRefused` at once where waiting would not help (TLS, clock,
    key, version, proxy); with `once` also `PolicyRefused` and `ModelRejected` after the coordinator was told by a code. Without
    `once` such a refusal is reported, and the site waits for the next run.
    """
    require_training_data(home)
    key, audit, policy = load_node_key(home), AuditLog(home.audit), settings.policy
    note_policy(home.audit, policy)
    try:
        policy.allow_coordinator(federation.signing_public_key)
        if options.once:
            policy.allow_hour(datetime.now())
    except PolicyRefused as error:
        audit.append("refused", by="policy", reason=str(error))
        raise
    if not give_way(policy.niceness):
        report(f"policy.niceness = {policy.niceness} has no effect on this system")
    import torch  # takes seconds; now, while nobody waits for it
    import torch._dynamo  # and this as long again, which the first optimiser would load

    torch.set_num_threads(policy.cpu_threads)
    end = time.monotonic() + options.max_time
    offered_until = min(end, time.monotonic() + options.max_wait)
    patience = min(LONGEST_PATIENCE_SECONDS, options.max_wait)
    latest = Participation()
    pause = FIRST_RECONNECT_SECONDS
    audit.append("join", server=options.server, once=options.once)
    node: _Node | None = None
    try:
        with time_limit(options.max_time) as limit, prompt_end(LONGEST_END_SECONDS, limit):
            while time.monotonic() < end:
                node = None
                hours_end = _wait_for_hours(policy, end, report)
                if time.monotonic() >= end:
                    break
                try:
                    wait = max(0.0, offered_until - time.monotonic())
                    with FleetConnection(options.server, options.ca, key, patience, wait, report) as connection:
                        report(f"connected to {options.server}, waiting for a run")
                        pause = FIRST_RECONNECT_SECONDS
                        participant = Participant(home, settings, federation, options.server, report)
                        node = _Node(connection, participant, audit, report)
                        offered = node.wait(min(offered_until, hours_end))
                        if offered:
                            node.take_part(end)
                    latest = node.after(latest)
                    if options.once or not (offered or time.monotonic() >= hours_end):
                        break
                except LIBRARY_ERRORS as error:
                    latest = latest if node is None else node.after(latest)
                    if _is_final(error, node is not None, options.once, offered_until - pause):
                        raise
                    report(f"{error}")
                    time.sleep(pause)
                    pause = min(2 * pause, LAST_RECONNECT_SECONDS)
    except KeyboardInterrupt:
        latest = latest if node is None else node.after(latest)
        if not limit.passed:
            raise
        report("time is up (--max-time)")
    finally:
        audit.append("leave", participated=latest.participated, rounds=latest.rounds)
    return latest


def _is_final(error: Exception, was_connected: bool, once: bool, until: float) -> bool:
    """Whether another try cannot help, or there is no time for one."""
    if isinstance(error, (ServerUnreachable, SessionLost)):
        return time.monotonic() > until
    return once or (isinstance(error, ServerError) and not was_connected)


def _wait_for_hours(policy: Policy, end: float, report: Callable[[str], None]) -> float:
    """Wait until the policy's hours begin, at most until `end`; returns when they end. Both on the monotonic clock."""
    hours = policy.training_hours
    if hours is None:
        return math.inf
    if hours.wait_from(datetime.now()):
        report(f"waiting for the hours {hours}")
    while (wait := hours.wait_from(datetime.now()).total_seconds()) and (left := end - time.monotonic()) > 0:
        time.sleep(min(wait, left, HOURS_CHECK_SECONDS))
    return time.monotonic() + hours.left_from(datetime.now()).total_seconds()


def _patience(deadline: float) -> float:
    """How long an answer may be held, so that what ends meanwhile ends in time."""
    return max(0.0, min(PATIENCE_SECONDS, deadline - time.monotonic()))


class _Node:
    """One run, from its first message to its end."""

    def __init__(
        self, connection: FleetConnection, participant: Participant, audit: AuditLog, report: Callable[[str], None]
    ) -> None:
        self._connection, self._participant, self._audit, self._report = connection, participant, audit, report
        self._app = participant.app()
        self._run_id: int | None = None
        self._first: Incoming | None = None

    def wait(self, deadline: float) -> bool:
        """Whether a round was offered before the deadline. A model of an earlier run, which comes before, is taken meanwhile."""
        began = time.monotonic()
        while self._first is None and time.monotonic() < deadline:
            received = self._connection.receive(_patience(deadline))
            if received is None:
                self._pause(POLL_SECONDS if time.monotonic() - began < IDLE_AFTER_SECONDS else IDLE_POLL_SECONDS)
            elif received.kind == MessageType.QUERY:
                self._catch_up(received)
            else:
                self._first = received
        return self._first is not None

    def _catch_up(self, received: Incoming) -> None:
        """A model that this site does not take is no reason to take part in no round either."""
        try:
            self._answer(received)
        except (PolicyRefused, ModelRejected) as error:
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
            if self._participant.final is None:
                raise
            self._report(f"the coordinator went away after the final model: {error.problem}")

    def _pause(self, usual: float) -> None:
        """Between two questions for messages."""
        time.sleep(SHORTEST_PAUSE_SECONDS if self._connection.was_held else usual)

    def after(self, before: Participation) -> Participation:
        """What has come of it so far, `before` included."""
        ours = self._participant
        caught_up = ours.caught_up or before.caught_up
        if self._first is None:
            return replace(before, caught_up=caught_up)
        return Participation(True, ours.run, ours.rounds, ours.final, caught_up)

    def _check_run(self) -> None:
        """Raises `RunOver` once the coordinator has closed the run."""
        if self._run_id is not None:
            self._connection.is_ours(self._run_id)

    def _answer(self, incoming: Incoming) -> None:
        """Answer one message. A failure here is told to the coordinator as a code only, then raised."""
        run_id = incoming.run_id
        if run_id != self._run_id:
            if not self._connection.is_ours(run_id):
                raise ServerRefused(
                    "the coordinator offers a run that is not ecgfl's", "Check --server: it is another Flower federation"
                )
            self._run_id = run_id
        try:
            message = self._connection.fetch(incoming)
        except MessageRefused as error:
            self._audit.append("refused", by="message", reason=str(error))
            raise
        try:
            context = Context(run_id=run_id, node_id=self._connection.node_id, node_config={}, state=RecordDict(), run_config={})
            reply = self._app(message=message, context=context)
        except Exception as error:
            code = next((code for kind, code in CODES.items() if isinstance(error, kind)), FAILED)
            refusal = self._connection.outgoing(Message(Error(code, "refused"), reply_to=message))
            self._audit.append(
                "refused", code=code, reason=str(error)[:LONGEST_REASON], bytes=refusal.size, sha256=refusal.sha256
            )
            self._connection.send(refusal)
            time.sleep(LINGER_SECONDS)
            raise
        outgoing = self._connection.outgoing(reply)
        metrics = {name: dict(record) for name, record in reply.content.metric_records.items()}
        self._audit.append(
            "send",
            kind=message.metadata.message_type,
            run=self._participant.run,
            bytes=outgoing.size,
            sha256=outgoing.sha256,
            metrics=metrics,
        )
        if not self._connection.send(outgoing):
            self._report("the coordinator no longer waits for this reply")
