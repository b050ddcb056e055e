"""`ecgfl coordinator serve`: one run, from waiting for the sites to the last signed model."""

import contextlib
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.errors import EcgflError, ModelRejected, UnusableInput, UsageError
from ecgfl_cli.federation.coordinator.audit import audit_log, note
from ecgfl_cli.federation.coordinator.home import CoordinatorHome, load_signing_key
from ecgfl_cli.federation.coordinator.identity.certificates import Certificates, check_certificates
from ecgfl_cli.federation.coordinator.identity.enrolment import enrolled_sites
from ecgfl_cli.federation.coordinator.killed_runs import close_killed_runs
from ecgfl_cli.federation.coordinator.open_files import allow_connections
from ecgfl_cli.federation.coordinator.report_page import write_pages
from ecgfl_cli.federation.coordinator.rounds.catching_up import CatchingUp
from ecgfl_cli.federation.coordinator.rounds.connected_sites import ConnectedSites, QuorumMissed
from ecgfl_cli.federation.coordinator.rounds.rounds import RoundFailed, Rounds
from ecgfl_cli.federation.coordinator.runs.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.runs.global_models import Standing
from ecgfl_cli.federation.coordinator.runs.live_state import (
    LiveState,
    SiteState,
    StateFile,
    load_state,
)
from ecgfl_cli.federation.coordinator.runs.run_plan import Report, RoundResult, RunPlan
from ecgfl_cli.federation.coordinator.runs.run_record import RunRecord, now
from ecgfl_cli.federation.coordinator.runs.strategy_options import arguments_of, check_strategy
from ecgfl_cli.federation.flower import require_tested_flower
from ecgfl_cli.federation.flower.connections import tls_context
from ecgfl_cli.federation.flower.grid_transport import GridTransport
from ecgfl_cli.federation.flower.strategies import build_aggregator
from ecgfl_cli.federation.flower.superlink import SuperLink
from ecgfl_cli.federation.messages import REJECTIONS
from ecgfl_cli.models.manifest import Manifest, public_key_text
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.site.private_keys import key_password

LEAVE_SECONDS = 15
"""How long the sites may take to leave after the last round."""


@dataclass(frozen=True)
class Served:
    """final : the run's last model. rounds : those of this process; fewer than the run's when it was resumed.

    start : where the run's first weights come from, in words. absent : enrolled sites that were asked in no round.
    standing : the sites' verdicts on the final model. next_start : the version that the next run would start from, None for
    random weights. report : path of the run's JSON report; its HTML page is beside it.
    """

    final: Manifest
    rounds: list[RoundResult]
    start: str | None
    absent: list[str]
    standing: Standing
    next_start: str | None
    report: Path


def serve(home: CoordinatorHome, plan: RunPlan, host: str, port: int, report: Report) -> Served:
    """Run one federation, and write its report however it ends.

    Raises `UsageError` when the plan will not do or the port is taken, `QuorumMissed` when too few sites come, `RoundFailed` when
    too few of them answer.
    """
    require_tested_flower()
    check_strategy(plan)
    _check_sites(home, plan, report)
    audit_log(home).require_whole()
    certificates = check_certificates(home)
    for line in certificates.warnings():
        report(line)
    signing_key = load_signing_key(home)
    open_files = allow_connections(len(enrolled_sites(home)))
    if open_files.problem:
        report(open_files.problem)
    tls = tls_context(home.server_certificate, home.server_key, key_password(home.server_key))
    with contextlib.closing(_bind(host, port)) as listener:
        superlink = SuperLink(
            listener, tls, public_key_text(signing_key.public_key()), open_files.connections
        )
        sites = ConnectedSites(home, superlink, plan, report)
        sites.online()  # a key must be known before its site can connect
        checkpoints = Checkpoints(home, signing_key, plan)
        run = checkpoints.latest.manifest.run
        path = home.reports / f"{run}.json"
        record = RunRecord(path, plan, checkpoints.latest.manifest, checkpoints.start)
        record.save()
        start = record.report.start
        note(
            home,
            "run-started",
            run=run,
            resumed=checkpoints.resumed,
            model=checkpoints.latest.manifest.version,
            start=start,
        )
        close_killed_runs(home, Registry(home.models, signing_key.public_key()), run, report)
        address = f"{host}:{listener.getsockname()[1]}"
        state = StateFile(
            home.state,
            _Look(home, sites, checkpoints, record, address, certificates, report),
            report,
        )
        with superlink, state:
            report(f"serving on {address}, run {run}")
            if checkpoints.resumed:
                report(f"going on after round {checkpoints.latest.manifest.round} of {plan.rounds}")
            if left := checkpoints.abandoned:
                report(
                    f"run {left.run} stopped after round {left.round} of {left.rounds}, but its --rounds, --strategy, optimiser"
                    " state or first weights differ from this plan, or its model has expired: a new run starts"
                )
            for version, problem in checkpoints.passed_over.items():
                report(f"no run starts from model {version}: {problem}")
            if checkpoints.start is not None:
                report(f"the run starts from {checkpoints.start}")
                if checkpoints.latest.manifest.parent is None:
                    report(
                        "sites with a model of this architecture take part only if policy.from_scratch = true in site.toml"
                    )
            try:
                with (
                    superlink.run() as grid,
                    _catching_up(sites, transport := GridTransport(grid), checkpoints, report),
                ):
                    grid.enough = plan.min_sites
                    record.phase = "waiting for the hours" if plan.hours else record.phase
                    sites.wait_for_hours()
                    record.phase = "waiting for sites"
                    sites.quorum(set())
                    arguments, moments = arguments_of(plan), checkpoints.moments
                    aggregator = build_aggregator(plan.strategy, plan.min_sites, arguments, moments)
                    Rounds(plan, aggregator, checkpoints, sites, report, record).run(transport)
            except (RoundFailed, QuorumMissed) as error:
                _close(home, record, path, sites, error, report)
                _wait_until_left(sites, grid.asked)
                raise
            except BaseException as error:
                _close(home, record, path, sites, error, report)
                raise
            _close(home, record, path, sites, None, report)
            _wait_until_left(sites, grid.asked)
    final = checkpoints.latest
    standing = checkpoints.add_verdicts(final.manifest.version, {})
    absent, start = record.report.absent, record.report.start
    return Served(
        final.manifest, record.rounds, start, absent, standing, checkpoints.next_start(), path
    )


def _wait_until_left(sites: ConnectedSites, nodes: set[int]) -> None:
    """Until each of these nodes has left once: a site that stays for run after run soon comes back. One that was not asked does
    not know that the run is over.
    """
    until = time.monotonic() + LEAVE_SECONDS
    while (nodes := nodes & sites.online().keys()) and time.monotonic() < until:
        time.sleep(0.1)


def _catching_up(
    sites: ConnectedSites, transport: GridTransport, checkpoints: Checkpoints, report: Report
) -> contextlib.AbstractContextManager[None]:
    """Return a context in which sites that were away receive the last run's final model, if there is one."""
    try:
        final = checkpoints.last_final()
    except ModelRejected as error:  # the run itself may start from other weights
        report(f"the last final model is not sent to any site: {error}")
        final = None
    if final is None:
        return contextlib.nullcontext()
    version, request = final

    def tell(site: str, verdict: VerdictCode) -> None:
        standing = checkpoints.add_verdicts(version, {site: verdict})
        if verdict in REJECTIONS:
            report(f"{site} does not use the last run's model {version} ({verdict})")
        if standing.is_rejected:
            report(
                f"most sites rejected model {version} ({', '.join(standing.rejected)}): no later run starts from it"
            )

    return sites.told_by(CatchingUp(transport, request, report, tell, sites.receive_audit_heads))


def _check_sites(home: CoordinatorHome, plan: RunPlan, report: Report) -> None:
    """Whether a plan that names its sites can come about."""
    if plan.sites is None:
        return
    if len(plan.sites) < plan.min_sites:
        raise UsageError(
            f"{plan.origin('sites')} lets {len(plan.sites)} sites take part ({', '.join(sorted(plan.sites))}), and"
            f" {plan.origin('min_sites')} asks for {plan.min_sites}",
            "Name more sites, or ask for fewer",
        )
    for name in sorted(plan.sites.keys() - {site.name for site in enrolled_sites(home)}):
        report(
            f"{plan.origin('sites')} names {name}, which is not enrolled: `ecgfl coordinator enrol` takes its key"
        )


def _close(
    home: CoordinatorHome,
    record: RunRecord,
    path: Path,
    sites: ConnectedSites,
    error: BaseException | None,
    report: Report,
) -> None:
    """Write the run report and the audit line. A failure to write them is only reported, so that it does not hide `error`."""
    try:
        there = set(record.report.sites) or sites.connected()
        record.report.absent = sorted(sites.expected() - there)
        record.end(error)
        if record.report.absent:
            report(f"absent from this run: {', '.join(record.report.absent)}")
        write_pages(record.report, path)
        report(f"run report: {path.with_suffix('.html')}")
    except OSError as failure:
        report(f"the run report cannot be written: {failure}")
    try:
        ended = record.report
        note(
            home,
            "run-ended",
            run=ended.run,
            outcome=ended.outcome,
            model=ended.final,
            absent=ended.absent,
        )
    except (OSError, EcgflError) as failure:
        report(f"the audit log cannot be written: {failure}")


class _Look:
    """Takes stock of a running coordinator."""

    def __init__(
        self,
        home: CoordinatorHome,
        sites: ConnectedSites,
        checkpoints: Checkpoints,
        record: RunRecord,
        address: str,
        certificates: Certificates,
        report: Report,
    ) -> None:
        self._certificates, self._report = certificates, report
        self._warned = set(certificates.warnings())
        self._sites, self._checkpoints, self._record, self._address = (
            sites,
            checkpoints,
            record,
            address,
        )
        self._contacts: dict[str, str | None] = {}
        with contextlib.suppress(UnusableInput):  # a broken state file is rewritten now
            before = load_state(home.state)
            self._contacts = (
                {each.site: each.last_contact for each in before.sites} if before else {}
            )

    def __call__(self) -> LiveState:
        self._sites.online()
        for line in self._certificates.warnings():  # `serve` may wait for months
            if line not in self._warned:
                self._warned.add(line)
                self._report(line)
        connected, heard, report = (
            self._sites.connected(),
            self._sites.contacts(),
            self._record.report,
        )
        self._contacts |= {
            name: moment.isoformat(timespec="seconds") for name, moment in heard.items()
        }
        latest = self._checkpoints.latest.manifest
        absent = report.absent
        if report.outcome == "running":
            absent = sorted(self._sites.expected() - (set(report.sites) or connected))
        return LiveState(
            run=latest.run,
            round=latest.round,
            rounds=latest.rounds,
            absent=absent,
            phase=self._record.phase if report.outcome == "running" else "ended",
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
            "Choose another --port or --host, or end the program that has the port",
        ) from error
    return listener
