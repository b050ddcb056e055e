"""A site's part in the federation: one outgoing connection, no listening port, no code from the server."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from ecgfl_cli.errors import (
    ClockWrong,
    EcgflError,
    ExitCode,
    PolicyRefused,
    ServerError,
    ServerUnreachable,
    SessionLost,
)
from ecgfl_cli.federation.flower import require_tested_flower
from ecgfl_cli.federation.flower.fleet import FleetConnection
from ecgfl_cli.federation.site.participant import FinalModel, Participant
from ecgfl_cli.federation.site.prompt_end import prompt_end
from ecgfl_cli.federation.site.session import Session
from ecgfl_cli.federation.site.time_limit import time_limit
from ecgfl_cli.models.federation_file import Federation
from ecgfl_cli.processes import give_way
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import load_node_key
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.site.policy_changes import note_policy
from ecgfl_cli.site.settings import SiteSettings
from ecgfl_cli.training.dataset import require_training_data

LONGEST_PATIENCE_SECONDS = 30.0
FIRST_RECONNECT_SECONDS, LAST_RECONNECT_SECONDS = 2.0, 60.0
HOURS_CHECK_SECONDS = 60.0
LONGEST_END_SECONDS = 9.0
"""Leaving in order takes five at most; what takes longer is stuck."""

GONE = (ServerUnreachable, SessionLost)


@dataclass(frozen=True)
class JoinOptions:
    """server : "HOST:PORT". ca : PEM bytes, None for plain HTTP to a loopback address. Times in seconds.

    max_wait : for the coordinator to be there and to offer a run, infinite for ever; anew when one that was there in a run is
        lost, when a run has ended, and when the policy's hours begin.
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
    home: Home,
    settings: SiteSettings,
    federation: Federation,
    options: JoinOptions,
    report: Callable[[str], None],
) -> Participation:
    """Take part in one run (`once`) or in run after run until interrupted or out of time.

    If the coordinator cannot be reached, has lost this session, or its clock differs too much, the site tries again until
    `max_wait` is over. After that it raises `ServerUnreachable`, `SessionLost` or `ClockWrong`, unless it takes part in run after
    run and the previous run was completed. It raises any other `ServerRefused` at once if waiting would not help (TLS, key,
    version, proxy), and `ServerUnreachable` if there was no session by `max_time`.

    A refusal by the policy or of a model is sent to the coordinator as a code. With `once`, `PolicyRefused` or `ModelRejected` is
    then raised; otherwise the refusal is reported, and the site waits for the next run.
    """
    require_tested_flower()
    require_training_data(home)
    key, audit, policy = load_node_key(home), AuditLog(home.audit), settings.policy
    audit.require_whole()  # the policy's limits count what the log says was sent
    note_policy(home.audit, policy)
    if weaker := policy.weaker_than_default():
        report(f"{home.settings}: [policy] is weaker than the default: {', '.join(weaker)}")
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
    wait = _Wait(options.max_wait, end)
    patience = min(LONGEST_PATIENCE_SECONDS, options.max_wait)
    latest = Participation()
    pause = FIRST_RECONNECT_SECONDS
    audit.append("join", server=options.server, once=options.once)
    session: Session | None = None
    problem, had_session, clock_reported = "", False, False
    try:
        with time_limit(options.max_time) as limit, prompt_end(LONGEST_END_SECONDS, limit):
            while time.monotonic() < end:
                session = None
                hours_end = _wait_for_hours(policy, end, wait, report)
                if time.monotonic() >= end:
                    break
                limit.code = ExitCode.DONE if had_session else ExitCode.SERVER
                try:
                    line = FleetConnection(
                        options.server,
                        options.ca,
                        key,
                        federation.signing_public_key,
                        patience,
                        wait.left(),
                        report,
                        wait.span,
                    )
                    with line as connection:
                        report(f"connected to {options.server}, waiting for a run")
                        had_session, limit.code = True, ExitCode.DONE
                        pause, clock_reported = FIRST_RECONNECT_SECONDS, False
                        participant = Participant(
                            home, settings, federation, options.server, report
                        )
                        session = Session(connection, participant, audit, report)
                        if session.wait(min(wait.until, hours_end)):
                            session.take_part(end)
                            wait.begin()
                    latest = _after(latest, session)
                    if options.once and not session.offered and session.not_taken is not None:
                        raise session.not_taken
                    if options.once or not (session.offered or time.monotonic() >= hours_end):
                        break
                    time.sleep(
                        pause
                    )  # the coordinator of that run ends when it has seen all sites leave
                except Exception as error:
                    latest = _after(latest, session)
                    if session is not None and session.offered:
                        wait.begin()
                    until = min(wait.until, hours_end) if options.once else wait.until
                    if not _may_pass(
                        error,
                        session is not None,
                        options.once,
                        in_time=time.monotonic() + pause <= until,
                    ):
                        if options.once or latest.final is None or not isinstance(error, GONE):
                            raise
                        report(f"no further run: {error.problem}")
                        break
                    problem = _without_time(options.server, error)
                    if not (clock_reported and isinstance(error, ClockWrong)):
                        report(f"{problem}; trying again")
                    clock_reported = isinstance(error, ClockWrong)
                    time.sleep(pause)
                    pause = min(2 * pause, LAST_RECONNECT_SECONDS)
            if limit.code:
                raise _no_session(options, problem)
    except KeyboardInterrupt:
        latest = _after(latest, session)
        if not limit.passed:
            raise
        if limit.code:
            raise _no_session(options, problem) from None
        report("time is up (--max-time)")
    finally:
        audit.append("leave", participated=latest.participated, rounds=latest.rounds)
    return latest


class _Wait:
    """For a coordinator and a run: `longest` seconds from when it began last, and not beyond `end`."""

    def __init__(self, longest: float, end: float) -> None:
        self._longest, self._end = longest, end
        self.begin()

    def begin(self) -> None:
        now = time.monotonic()
        self.until = min(self._end, now + self._longest)
        self.span = self.until - now

    def left(self) -> float:
        return max(0.0, self.until - time.monotonic())


def _after(before: Participation, session: Session | None) -> Participation:
    """What has come of it so far, with what this connection's messages came to."""
    if session is None:
        return before
    ours = session.participant
    caught_up = ours.caught_up or before.caught_up
    if not session.offered:
        return replace(before, caught_up=caught_up)
    return Participation(True, ours.run, ours.rounds, ours.final, caught_up)


def _no_session(options: JoinOptions, problem: str) -> ServerUnreachable:
    last = f"; {problem}" if problem else ""
    return ServerUnreachable(
        f"{options.server}: no session within {options.max_time:g} s (--max-time){last}",
        "Check that the coordinator runs and that `ecgfl doctor --server HOST:PORT` finds nothing wrong; or allow more time",
    )


def _without_time(server: str, error: Exception) -> str:
    """Return the problem without the waiting time, which is stated once, at the end."""
    if isinstance(error, ServerUnreachable) and error.reason:
        return f"{server}: not reached: {error.reason}"
    return error.problem if isinstance(error, EcgflError) else str(error)


def _may_pass(error: Exception, was_connected: bool, once: bool, in_time: bool) -> bool:
    """Whether another try can help. in_time : whether it would be made while a run is still waited for."""
    if isinstance(error, ServerUnreachable) and not was_connected:
        return False  # the connection was retried for the whole waiting time
    if isinstance(error, (*GONE, ClockWrong)):
        return in_time
    return not once and (was_connected or not isinstance(error, ServerError))


def _wait_for_hours(
    policy: Policy, end: float, wait: _Wait, report: Callable[[str], None]
) -> float:
    """Wait until the policy's hours begin, at most until `end`, and for a run from then on; returns when they end.

    Both on the monotonic clock.
    """
    hours = policy.training_hours
    if hours is None:
        return math.inf
    if hours.wait_from(datetime.now()):
        report(f"waiting for the hours {hours}")
        while (left := hours.wait_from(datetime.now()).total_seconds()) and time.monotonic() < end:
            time.sleep(min(left, max(0.0, end - time.monotonic()), HOURS_CHECK_SECONDS))
        wait.begin()
    return time.monotonic() + hours.left_from(datetime.now()).total_seconds()
