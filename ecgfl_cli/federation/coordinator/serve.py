"""Serve one run, from waiting for the sites to the last signed model."""

import contextlib
import logging
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.errors import EcgflError, ModelRejected, UnusableInput, UsageError
from ecgfl_cli.federation.coordinator.audit import audit_log, note
from ecgfl_cli.federation.coordinator.home import CoordinatorHome, load_signing_key
from ecgfl_cli.federation.coordinator.identity.certificates import Certificates, check_certificates
from ecgfl_cli.federation.coordinator.identity.enrolment import enrolled_sites
from ecgfl_cli.federation.coordinator.identity.signing_keys import WARN_BEFORE, require_serving
from ecgfl_cli.federation.coordinator.killed_runs import close_killed_runs
from ecgfl_cli.federation.coordinator.open_files import allow_connections
from ecgfl_cli.federation.coordinator.report_page import write_pages
from ecgfl_cli.federation.coordinator.rounds.catching_up import CatchingUp
from ecgfl_cli.federation.coordinator.rounds.connected_sites import ConnectedSites, QuorumMissed
from ecgfl_cli.federation.coordinator.rounds.replies import RoundFailed
from ecgfl_cli.federation.coordinator.rounds.rounds import Rounds
from ecgfl_cli.federation.coordinator.rounds.strategy import aggregator_of
from ecgfl_cli.federation.coordinator.runs.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.runs.global_models import Standing
from ecgfl_cli.federation.coordinator.runs.live_state import (
    LiveState,
    SiteState,
    StateFile,
    load_state,
    phase_in_words,
)
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult, RunPlan
from ecgfl_cli.federation.coordinator.runs.run_record import Phase, RunRecord, now
from ecgfl_cli.federation.coordinator.runs.strategy_options import check_strategy
from ecgfl_cli.federation.flower import require_tested_flower
from ecgfl_cli.federation.flower.connections import tls_context
from ecgfl_cli.federation.flower.grid_transport import GridTransport
from ecgfl_cli.federation.flower.superlink import SuperLink
from ecgfl_cli.federation.messages import REJECTIONS
from ecgfl_cli.federation.secagg.agreement import usual_threshold
from ecgfl_cli.logs import Event, event
from ecgfl_cli.models.manifest import Manifest, public_key_text
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.site.private_keys import key_password
from ecgfl_cli.times import current_time

_log = logging.getLogger(__name__)

LEAVE_SECONDS = 15
"""How long the sites may take to disconnect after the last round."""


@dataclass(frozen=True)
class Served:
    """The result of a run.

    Attributes
    ----------
    final
        The run's last model.
    rounds
        Rounds of this process; fewer than the run's if the run was resumed.
    start
        Where the run's first weights come from, in words.
    absent
        Enrolled sites that were asked in no round.
    standing
        The sites' verdicts on the final model.
    next_start
        Version that the next run would start from; None for random weights.
    report
        Path of the run's JSON report. Its HTML page is beside it.
    """

    final: Manifest
    rounds: list[RoundResult]
    start: str | None
    absent: list[str]
    standing: Standing
    next_start: str | None
    report: Path


def serve(home: CoordinatorHome, plan: RunPlan, host: str, port: int) -> Served:
    """Serve one run. Its report is written however it ends.

    Parameters
    ----------
    home
        Home of the coordinator.
    plan
        Plan of the run.
    host
        Address to listen on.
    port
        Port to listen on; 0 selects a free one.

    Raises
    ------
    UsageError
        If the plan is invalid or the port is in use.
    QuorumMissed
        If too few sites connect.
    RoundFailed
        If too few sites answer.
    """
    require_tested_flower()
    check_strategy(plan)
    aggregator_of(plan)  # refuses what does not fit before any site is asked
    _check_sites(home, plan)
    audit_log(home).require_whole()
    certificates = check_certificates(home)
    for line in certificates.warnings():
        _log.warning(line)
    trust = require_serving(home)
    if trust.expires is not None and trust.expires - current_time() < WARN_BEFORE:
        _log.warning(
            f"{home.roots}: the root metadata expires on {trust.expires:%Y-%m-%d}; run `ecgfl "
            "coordinator root` before"
        )
    signing_key = load_signing_key(home)
    open_files = allow_connections(len(enrolled_sites(home)))
    if open_files.problem:
        _log.warning(open_files.problem)
    tls = tls_context(home.server_certificate, home.server_key, key_password(home.server_key))
    with contextlib.closing(_bind(host, port)) as listener:
        superlink = SuperLink(listener, tls, public_key_text(trust.anchor), open_files.connections)
        sites = ConnectedSites(home, superlink, plan)
        sites.online()  # a key must be known before its site can connect
        checkpoints = Checkpoints(home, signing_key, plan)
        record = _begin_record(home, plan, checkpoints)
        run = record.report.run
        close_killed_runs(home, Registry(home.models, signing_key.public_key()), run)
        address = f"{host}:{listener.getsockname()[1]}"
        look = _Look(home, sites, checkpoints, record, address, certificates)
        with superlink, StateFile(home.state, look):
            _log.info(
                f"serving on {address}, run {run}",
                extra=event(
                    Event.READY,
                    address=address,
                    host=host,
                    port=listener.getsockname()[1],
                    run=run,
                ),
            )
            _log_start(plan, checkpoints)
            _run(home, plan, superlink, sites, checkpoints, record)
    final = checkpoints.latest.manifest
    return Served(
        final,
        record.rounds,
        record.report.start,
        record.report.absent,
        checkpoints.add_verdicts(final.version, {}),
        checkpoints.next_start(),
        _report_path(home, run),
    )


def _report_path(home: CoordinatorHome, run: str) -> Path:
    return home.reports / f"{run}.json"


def _begin_record(home: CoordinatorHome, plan: RunPlan, checkpoints: Checkpoints) -> RunRecord:
    """Create or continue the run's report, and write the begin of the run to the audit log."""
    latest = checkpoints.latest.manifest
    record = RunRecord(_report_path(home, latest.run), plan, latest, checkpoints.start)
    record.save()
    note(
        home,
        "run-started",
        run=latest.run,
        resumed=checkpoints.resumed,
        model=latest.version,
        start=record.report.start,
    )
    return record


def _log_start(plan: RunPlan, checkpoints: Checkpoints) -> None:
    """Log which weights the run starts from."""
    latest = checkpoints.latest.manifest
    if checkpoints.resumed:
        _log.info(
            f"resuming after round {latest.round} of {plan.rounds}",
            extra=event(Event.RUN_RESUMED, run=latest.run, round=latest.round, rounds=plan.rounds),
        )
    if left := checkpoints.abandoned:
        _log.warning(
            f"run {left.run} stopped after round {left.round} of {left.rounds}, but its --rounds,"
            " --strategy, optimiser state or first weights differ from this plan, or its model has"
            " expired: a new run starts"
        )
    for version, problem in checkpoints.passed_over.items():
        _log.warning(f"no run starts from model {version}: {problem}")
    if checkpoints.start is not None:
        _log.info(
            f"the run starts from {checkpoints.start}",
            extra=event(Event.RUN_STARTED, run=latest.run, start=checkpoints.start),
        )
        if latest.parent is None:
            _log.info(
                "sites with a model of this architecture take part only if"
                " policy.from_scratch = true in site.toml"
            )


def _run(
    home: CoordinatorHome,
    plan: RunPlan,
    superlink: SuperLink,
    sites: ConnectedSites,
    checkpoints: Checkpoints,
    record: RunRecord,
) -> None:
    """Run the rounds, and close the report. Raises what ended the run too early."""
    try:
        with (
            superlink.run() as grid,
            _catching_up(sites, transport := GridTransport(grid), checkpoints),
        ):
            grid.enough = plan.min_sites
            if plan.secagg:
                grid.enough = max(grid.enough, usual_threshold(len(sites.expected())))
            if plan.hours is not None:
                record.enter(Phase.WAITING_FOR_HOURS)
                sites.wait_for_hours()
            record.enter(Phase.WAITING_FOR_SITES)
            sites.quorum(set())
            aggregator = aggregator_of(plan, checkpoints.moments)
            Rounds(plan, aggregator, checkpoints, sites, record, sites).run(transport)
    except (RoundFailed, QuorumMissed) as error:
        _close(home, record, sites, error)
        _wait_until_disconnected(sites, grid.asked)
        raise
    except BaseException as error:
        _close(home, record, sites, error)
        raise
    _close(home, record, sites, None)
    _wait_until_disconnected(sites, grid.asked)


def _wait_until_disconnected(sites: ConnectedSites, nodes: set[int]) -> None:
    """Wait until each of these nodes has disconnected once, at most `LEAVE_SECONDS`.

    A site that takes part in run after run soon reconnects. A site that was not asked does not know
    that the run is over.
    """
    deadline = time.monotonic() + LEAVE_SECONDS
    while (nodes := nodes & sites.online().keys()) and time.monotonic() < deadline:
        time.sleep(0.1)


def _catching_up(
    sites: ConnectedSites, transport: GridTransport, checkpoints: Checkpoints
) -> contextlib.AbstractContextManager[None]:
    """Return a context in which absent sites receive the last run's final model, if any."""
    try:
        final = checkpoints.last_final()
    except ModelRejected as error:  # the run itself may start from other weights
        _log.warning(f"the last final model is not sent to any site: {error}")
        final = None
    if final is None:
        return contextlib.nullcontext()
    version, request = final

    def take_verdict(site: str, verdict: VerdictCode) -> None:
        standing = checkpoints.add_verdicts(version, {site: verdict})
        if verdict in REJECTIONS:
            _log.warning(
                f"{site} does not use the last run's model {version} ({verdict})",
                extra=event(Event.VERDICT, model=version, verdicts={site: verdict}),
            )
        if standing.is_rejected:
            _log.warning(
                f"most sites rejected model {version} ({', '.join(standing.rejected)}): no later"
                " run starts from it"
            )

    return sites.told_by(CatchingUp(transport, request, take_verdict, sites.receive_audit_heads))


def _check_sites(home: CoordinatorHome, plan: RunPlan) -> None:
    """Raise `UsageError` if the plan names fewer sites than it needs."""
    if plan.sites is None:
        return
    if len(plan.sites) < plan.min_sites:
        raise UsageError(
            f"{plan.origin('sites')} lets {len(plan.sites)} sites take part"
            f" ({', '.join(sorted(plan.sites))}), and {plan.origin('min_sites')} requires"
            f" {plan.min_sites}",
            "Name more sites, or require fewer",
        )
    for name in sorted(plan.sites.keys() - {site.name for site in enrolled_sites(home)}):
        _log.warning(
            f"{plan.origin('sites')} names {name}, which is not enrolled: add its key with"
            " `ecgfl coordinator enrol`"
        )


def _close(
    home: CoordinatorHome, record: RunRecord, sites: ConnectedSites, error: BaseException | None
) -> None:
    """Write the run report and the audit line.

    A failure to write them is only logged, so that it does not hide `error`.
    """
    report = record.report
    page = _report_path(home, report.run).with_suffix(".html")
    try:
        took_part = set(report.sites) or sites.connected()
        report.absent = sorted(sites.expected() - took_part)
        record.end(error)
        if report.absent:
            _log.info(f"absent from this run: {', '.join(report.absent)}")
        write_pages(report, _report_path(home, report.run))
    except OSError as failure:
        _log.warning(f"the run report cannot be written: {failure}")
    _log.info(
        f"run report: {page}",
        extra=event(
            Event.RUN_ENDED,
            run=report.run,
            outcome=report.outcome,
            model=report.final,
            absent=report.absent,
            report=page,
        ),
    )
    try:
        note(
            home,
            "run-ended",
            run=report.run,
            outcome=report.outcome,
            model=report.final,
            absent=report.absent,
        )
    except (OSError, EcgflError) as failure:
        _log.warning(f"the audit log cannot be written: {failure}")


class _Look:
    """Returns the current state of a running coordinator."""

    def __init__(
        self,
        home: CoordinatorHome,
        sites: ConnectedSites,
        checkpoints: Checkpoints,
        record: RunRecord,
        address: str,
        certificates: Certificates,
    ) -> None:
        self._certificates = certificates
        self._warned_of = set(certificates.warnings())
        self._sites = sites
        self._checkpoints = checkpoints
        self._record = record
        self._address = address
        self._contacts: dict[str, str | None] = {}
        with contextlib.suppress(UnusableInput):  # a broken state file is rewritten now
            before = load_state(home.state)
            if before is not None:
                self._contacts = {site.site: site.last_contact for site in before.sites}

    def __call__(self) -> LiveState:
        self._sites.online()
        self._warn_of_certificates()
        connected = self._sites.connected()
        self._contacts |= {
            name: moment.isoformat(timespec="seconds")
            for name, moment in self._sites.contacts().items()
        }
        report = self._record.report
        is_running = report.outcome == "running"
        absent = report.absent
        if is_running:
            absent = sorted(self._sites.expected() - (set(report.sites) or connected))
        phase = self._record.phase if is_running else Phase.ENDED
        phase_round = self._record.phase_round if is_running else None
        latest = self._checkpoints.latest.manifest
        return LiveState(
            run=latest.run,
            round=latest.round,
            rounds=latest.rounds,
            absent=absent,
            phase=phase_in_words(phase, phase_round, self._record.hours),
            phase_code=phase,
            phase_round=phase_round,
            address=self._address,
            outcome=report.outcome,
            problem=report.problem,
            updated=now(),
            sites=[
                SiteState(
                    site=name, connected=name in connected, last_contact=self._contacts.get(name)
                )
                for name in self._sites.names()
            ],
        )

    def _warn_of_certificates(self) -> None:
        """Log a certificate that expires soon, once: `serve` may wait for months."""
        for line in self._certificates.warnings():
            if line not in self._warned_of:
                self._warned_of.add(line)
                _log.warning(line)


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        # On Windows SO_REUSEADDR would let a second server take the same port.
        listener.setsockopt(
            socket.SOL_SOCKET, getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR), 1
        )
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            "Choose another --port or --host, or end the program that uses the port",
        ) from error
    return listener
