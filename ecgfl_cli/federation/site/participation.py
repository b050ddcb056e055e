"""Take part in a federation as a site.

A site opens one outgoing connection. It listens on no port and runs no code from the server.
"""

import logging
import math
import time
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

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
from ecgfl_cli.federation.site.time_limit import TimeLimit, time_limit
from ecgfl_cli.logs import Event, event
from ecgfl_cli.models.federation_file import Federation
from ecgfl_cli.models.site_models import sealed_files
from ecgfl_cli.processes import give_way
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import load_node_key
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.site.policy_changes import note_policy
from ecgfl_cli.site.settings import SiteSettings
from ecgfl_cli.training.dataset import require_training_data
from ecgfl_cli.training.ledger.budget import PrivacyBudget

_log = logging.getLogger(__name__)

LONGEST_PATIENCE_SECONDS = 30.0
FIRST_RECONNECT_SECONDS = 2.0
LAST_RECONNECT_SECONDS = 60.0
HOURS_CHECK_SECONDS = 60.0
LONGEST_END_SECONDS = 9.0
"""Time limit for ending: disconnecting takes five seconds at most."""

GONE = (ServerUnreachable, SessionLost)


@dataclass(frozen=True)
class JoinOptions:
    """Options of `participate`. Times are in seconds.

    Attributes
    ----------
    server
        Address of the coordinator, "HOST:PORT".
    ca
        CA certificate, PEM; None for plain HTTP to a loopback address.
    once
        Whether to take part in one run only.
    max_wait
        How long to wait for the coordinator and for a run; infinite for no limit. The wait begins
        again when the coordinator is lost during a run, when a run has ended, and when the policy's
        hours begin.
    max_time
        How long to take part altogether.
    """

    server: str
    ca: bytes | None
    once: bool
    max_wait: float
    max_time: float


@dataclass(frozen=True)
class Participation:
    """What a site did.

    Attributes
    ----------
    participated
        Whether the site took part in a round.
    run
        Name of the last run.
    rounds
        Number of rounds of the last run in which the site took part.
    final
        The run's last model; None if the run ended without one.
    caught_up
        Final model of an earlier run, which this site had missed.
    """

    participated: bool = False
    run: str | None = None
    rounds: int = 0
    final: FinalModel | None = None
    caught_up: FinalModel | None = None


def participate(
    home: Home, settings: SiteSettings, federation: Federation, options: JoinOptions
) -> Participation:
    """Take part in one run (`once`), or in run after run until interrupted or out of time.

    If the coordinator cannot be reached, has lost this session, or its clock differs too much, the
    site tries again until `max_wait` is over. A refusal by the policy or of a model is sent to the
    coordinator as a code. Without `once`, the site then waits for the next run.

    Parameters
    ----------
    home
        Home of the site.
    settings
        Settings of the site.
    federation
        The federation.
    options
        Where to connect, and for how long.

    Raises
    ------
    ServerUnreachable, SessionLost, ClockWrong
        If trying again did not help, unless the site takes part in run after run and the previous
        run was completed. `ServerUnreachable` also if there was no session within `max_time`.
    ServerRefused
        If trying again cannot help (TLS, key, version, proxy).
    PolicyRefused, ModelRejected
        With `once`, if the policy forbids a request or a model is refused. `ModelRejected` also
        if a file of the site's models was changed.
    """
    key, audit = _prepare(home, settings, federation, options)
    return _Visits(home, settings, federation, options, key, audit).run()


def _prepare(
    home: Home, settings: SiteSettings, federation: Federation, options: JoinOptions
) -> tuple[ec.EllipticCurvePrivateKey, AuditLog]:
    """Check what must hold before the site connects. Returns the node key and the audit log."""
    require_tested_flower()
    sealed_files(home).require_intact()
    require_training_data(home)
    key = load_node_key(home)
    audit = AuditLog(home.audit)
    policy = settings.policy
    audit.require_whole()  # the policy's limits count what the log says was sent
    note_policy(home.audit, policy)
    if weaker := policy.weaker_than_default():
        _log.warning(f"{home.settings}: [policy] is weaker than the default: {', '.join(weaker)}")
    try:
        policy.allow_coordinator(federation.signing_public_key)
        if options.once:
            policy.allow_hour(datetime.now())
        if policy.dp is not None:
            PrivacyBudget(home, policy).require()
    except PolicyRefused as error:
        audit.append("refused", by="policy", reason=str(error))
        raise
    if not give_way(policy.niceness):
        _log.warning(f"policy.niceness = {policy.niceness} has no effect on this system")
    # These imports take seconds. The first optimiser would load the second one during a round.
    import torch
    import torch._dynamo

    torch.set_num_threads(policy.cpu_threads)
    return key, audit


class _Visits:
    """The sessions of a site with a coordinator, one after the other."""

    def __init__(
        self,
        home: Home,
        settings: SiteSettings,
        federation: Federation,
        options: JoinOptions,
        key: ec.EllipticCurvePrivateKey,
        audit: AuditLog,
    ) -> None:
        self._home = home
        self._settings = settings
        self._federation = federation
        self._options = options
        self._audit = audit
        self._key = key
        self._end = time.monotonic() + options.max_time
        self._wait = _Wait(options.max_wait, self._end)
        self._latest = Participation()
        self._session: Session | None = None
        self._pause = FIRST_RECONNECT_SECONDS
        self._problem = ""
        self._had_session = False
        self._has_warned_of_clock = False

    def run(self) -> Participation:
        """Take part, and write the begin and the end to the audit log."""
        options = self._options
        self._audit.append("join", server=options.server, once=options.once)
        try:
            with time_limit(options.max_time) as limit, prompt_end(LONGEST_END_SECONDS, limit):
                self._repeat(limit)
                if limit.code:
                    raise self._no_session()
        except KeyboardInterrupt:
            self._take_over()
            if not limit.passed:
                raise
            if limit.code:
                raise self._no_session() from None
            _log.info("time is up (--max-time)")
        finally:
            self._audit.append(
                "leave", participated=self._latest.participated, rounds=self._latest.rounds
            )
        return self._latest

    def _repeat(self, limit: TimeLimit) -> None:
        """Connect again and again, until nothing more is to be done."""
        goes_on = True
        while goes_on and time.monotonic() < self._end:
            self._session = None
            hours_end = _wait_for_hours(self._settings.policy, self._end, self._wait)
            if time.monotonic() >= self._end:
                break
            limit.code = ExitCode.DONE if self._had_session else ExitCode.SERVER
            try:
                goes_on = self._visit(hours_end, limit)
            except Exception as error:  # noqa: BLE001 - raised again unless trying again can help
                goes_on = self._recover(error, hours_end)

    def _visit(self, hours_end: float, limit: TimeLimit) -> bool:
        """Connect, and take part in a run. Returns whether another run follows."""
        options = self._options
        connection = FleetConnection(
            options.server,
            options.ca,
            self._key,
            self._federation.signing_public_key,
            min(LONGEST_PATIENCE_SECONDS, options.max_wait),
            self._wait.left(),
            self._wait.span,
        )
        with connection:
            _log.info(
                f"connected to {options.server}, waiting for a run",
                extra=event(Event.CONNECTED, server=options.server),
            )
            self._had_session = True
            limit.code = ExitCode.DONE
            self._pause = FIRST_RECONNECT_SECONDS
            self._has_warned_of_clock = False
            participant = Participant(self._home, self._settings, self._federation, options.server)
            session = self._session = Session(connection, participant, self._audit)
            if session.wait(min(self._wait.until, hours_end)):
                session.take_part(self._end)
                self._wait.begin()
        self._take_over()
        if options.once and not session.offered and session.not_taken is not None:
            raise session.not_taken
        if options.once or not (session.offered or time.monotonic() >= hours_end):
            return False
        time.sleep(self._pause)  # the coordinator ends when it has seen all sites disconnect
        return True

    def _recover(self, error: Exception, hours_end: float) -> bool:
        """Wait before the next session if trying again can help; otherwise raise the error.

        Returns whether another session follows.
        """
        self._take_over()
        if self._session is not None and self._session.offered:
            self._wait.begin()
        once = self._options.once
        until = min(self._wait.until, hours_end) if once else self._wait.until
        in_time = time.monotonic() + self._pause <= until
        if not _may_pass(error, self._session is not None, once, in_time=in_time):
            if once or self._latest.final is None or not isinstance(error, GONE):
                raise error
            _log.info(f"no further run: {error.problem}")
            return False
        self._problem = _without_time(self._options.server, error)
        if not (self._has_warned_of_clock and isinstance(error, ClockWrong)):
            _log.warning(
                f"{self._problem}; trying again",
                extra=event(Event.RETRYING, reason=type(error).__name__),
            )
        self._has_warned_of_clock = isinstance(error, ClockWrong)
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, LAST_RECONNECT_SECONDS)
        return True

    def _take_over(self) -> None:
        """Take over what the current session has done."""
        session = self._session
        if session is None:
            return
        ours = session.participant
        caught_up = ours.caught_up or self._latest.caught_up
        if session.offered:
            self._latest = Participation(True, ours.run, ours.rounds, ours.final, caught_up)
        else:
            self._latest = replace(self._latest, caught_up=caught_up)

    def _no_session(self) -> ServerUnreachable:
        last = f"; {self._problem}" if self._problem else ""
        return ServerUnreachable(
            f"{self._options.server}: no session within {self._options.max_time:g} s"
            f" (--max-time){last}",
            "Check that the coordinator runs and that `ecgfl doctor --server HOST:PORT` finds no"
            " problem; or allow more time",
        )


class _Wait:
    """A wait for a coordinator and a run.

    Parameters
    ----------
    longest
        Seconds from when the wait began last.
    end
        Time on the monotonic clock at which any wait ends.
    """

    def __init__(self, longest: float, end: float) -> None:
        self._longest = longest
        self._end = end
        self.begin()

    def begin(self) -> None:
        now = time.monotonic()
        self.until = min(self._end, now + self._longest)
        self.span = self.until - now

    def left(self) -> float:
        return max(0.0, self.until - time.monotonic())


def _without_time(server: str, error: Exception) -> str:
    """Return the problem without the waiting time, which is stated once, at the end."""
    if isinstance(error, ServerUnreachable) and error.reason:
        return f"{server}: not reached: {error.reason}"
    return error.problem if isinstance(error, EcgflError) else str(error)


def _may_pass(error: Exception, was_connected: bool, once: bool, in_time: bool) -> bool:
    """Return whether trying again can help.

    Parameters
    ----------
    error
        Why the session ended.
    was_connected
        Whether there was a session.
    once
        Whether the site takes part in one run only.
    in_time
        Whether the site would still wait for a run at the next attempt.
    """
    if isinstance(error, ServerUnreachable) and not was_connected:
        return False  # the connection was retried for the whole waiting time
    if isinstance(error, (*GONE, ClockWrong)):
        return in_time
    return not once and (was_connected or not isinstance(error, ServerError))


def _wait_for_hours(policy: Policy, end: float, wait: _Wait) -> float:
    """Wait until the policy's hours begin, at most until `end`, and begin the wait for a run.

    Returns when the hours end. Both times are on the monotonic clock.
    """
    hours = policy.training_hours
    if hours is None:
        return math.inf
    if hours.wait_from(datetime.now()):
        _log.info(
            f"waiting for the hours {hours}",
            extra=event(Event.WAITING_FOR_HOURS, hours=str(hours)),
        )
        while (left := hours.wait_from(datetime.now()).total_seconds()) and time.monotonic() < end:
            time.sleep(min(left, max(0.0, end - time.monotonic()), HOURS_CHECK_SECONDS))
        wait.begin()
    return time.monotonic() + hours.left_from(datetime.now()).total_seconds()
