"""`ecgfl coordinator serve`: one run, from waiting for the sites to the last signed model."""

import socket
import time
from contextlib import closing
from dataclasses import dataclass

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator_home import CoordinatorHome, load_signing_key
from ecgfl_cli.federation.enrolment import enrolled_sites
from ecgfl_cli.federation.flower.superlink import SuperLink
from ecgfl_cli.federation.run_plan import Report, RoundResult, RunPlan
from ecgfl_cli.federation.strategies import check_strategy, run_strategy, wait_for_sites
from ecgfl_cli.models.manifest import Manifest

LEAVE_SECONDS = 15
"""How long the sites may take to leave after the last round."""


@dataclass(frozen=True)
class Served:
    """final : the run's last model. rounds : those of this process; fewer than the run's when it was resumed."""

    final: Manifest
    rounds: list[RoundResult]


def serve(home: CoordinatorHome, plan: RunPlan, host: str, port: int, report: Report) -> Served:
    """Run one federation. Raises `UsageError` when the port is taken, `RoundFailed` when too few sites answer."""
    check_strategy(plan)
    signing_key = load_signing_key(home)
    with closing(_bind(host, port)) as listener:
        superlink = SuperLink(listener, home.server_certificate, home.server_key)
        sites = _Sites(home, superlink, report)
        sites.online()  # a key must be known before its site can knock
        checkpoints = Checkpoints(home, signing_key, plan)
        with superlink:
            report(f"serving on {host}:{listener.getsockname()[1]}, run {checkpoints.latest.manifest.run}")
            if checkpoints.resumed:
                report(f"going on after round {checkpoints.latest.manifest.round} of {plan.rounds}")
            if left := checkpoints.abandoned:
                report(
                    f"run {left.run} stopped after round {left.round} of {left.rounds}, and its --rounds, --strategy or"
                    f" optimiser state is another: a new run starts from its model {left.version}"
                )
            wait_for_sites(sites.online, plan.min_sites, report)
            with superlink.run() as grid:
                rounds = run_strategy(
                    plan, grid, checkpoints, lambda without: wait_for_sites(sites.online, plan.min_sites, report, without), report
                )
            until = time.monotonic() + LEAVE_SECONDS
            while sites.online() and time.monotonic() < until:
                time.sleep(0.1)
    return Served(checkpoints.latest.manifest, rounds)


class _Sites:
    """Keeps the SuperLink's nodes in step with the enrolled sites, also while it serves."""

    def __init__(self, home: CoordinatorHome, superlink: SuperLink, report: Report) -> None:
        self._home, self._superlink, self._report = home, superlink, report
        self._nodes: dict[tuple[str, str], int] = {}
        self._seen: set[str] = set()

    def online(self) -> dict[int, str]:
        """Node id -> name of the enrolled sites that are connected."""
        enrolled = {(site.fingerprint, site.name): site.key for site in enrolled_sites(self._home)}
        for site in self._nodes.keys() - enrolled.keys():
            self._superlink.unregister(self._nodes.pop(site))
        for site in enrolled.keys() - self._nodes.keys():
            self._nodes[site] = self._superlink.register(enrolled[site], site[1])
        online = self._superlink.online()
        for name in sorted(set(online.values()) - self._seen):
            self._report(f"{name} connected")
        for name in sorted(self._seen - set(online.values())):
            self._report(f"{name} left")
        self._seen = set(online.values())
        return online


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        # On Windows SO_REUSEADDR would let a second server take the same port.
        listener.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR), 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            "Choose another --port or --host, or end the program that has the port",
        ) from error
    return listener
