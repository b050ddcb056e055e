"""The enrolled sites while the coordinator serves: who is connected, who was shut out, and waiting for enough of them."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from ecgfl_cli.errors import ServerError
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.identity.audit_heads import AuditHeads
from ecgfl_cli.federation.coordinator.identity.enrolment import NO_HANDLES, key_files
from ecgfl_cli.federation.coordinator.rounds.catching_up import CatchingUp
from ecgfl_cli.federation.coordinator.runs.run_plan import Report, RunPlan
from ecgfl_cli.federation.flower.superlink import SuperLink
from ecgfl_cli.site.audit import Head

POLL_SECONDS = 0.2
"""Of the connected sites, while enough of them are waited for."""

LONGEST_NAP_SECONDS = 5.0
"""Between two looks at the clock: the machine may have slept, or been set to summer time."""


class QuorumMissed(ServerError):
    """Too few sites came in time: the last checkpoint stands."""


class ConnectedSites:
    """Keeps the SuperLink's nodes in step with the enrolled sites. Its methods may be called from any thread."""

    def __init__(
        self, home: CoordinatorHome, superlink: SuperLink, plan: RunPlan, report: Report
    ) -> None:
        self._home, self._superlink, self._plan, self._report = home, superlink, plan, report
        self._lock = threading.RLock()
        self._nodes: dict[tuple[str, str], int] = {}
        self._fingerprints: dict[int, str] = {}
        self._seen: set[str] = set()
        self._reported: set[str] = set()
        self._contacts: dict[str, datetime] = {}
        self._enrolled: dict[tuple[str, str], ec.EllipticCurvePublicKey] = {}
        self._is_blind = False
        self._catching_up: CatchingUp | None = None
        self._audit_heads = AuditHeads(home.audit_heads)

    @contextlib.contextmanager
    def told_by(self, catching_up: CatchingUp) -> Iterator[None]:
        """While the block runs, each site of this run that is connected or comes is sent the last run's model."""
        with self._lock:
            for node, name in self.online().items():
                catching_up.send(node, name, self._fingerprints[node])
            self._catching_up = catching_up
        try:
            yield
        finally:
            with self._lock:
                self._catching_up = None

    def online(self) -> dict[int, str]:
        """Node id -> name of the sites of this run that are connected; takes in who was enrolled or revoked meanwhile."""
        with self._lock:
            enrolled = self._look_up()
            for site in self._nodes.keys() - enrolled.keys():
                self._superlink.unregister(self._nodes.pop(site))
                self._report(f"{site[1]}: its key was revoked, it is shut out")
            for site in enrolled.keys() - self._nodes.keys():
                self._nodes[site] = self._superlink.register(enrolled[site], site[1])
                self._fingerprints[self._nodes[site]] = site[0]
            online = self._superlink.online()
            heard = self._superlink.last_contacts()
            self._contacts |= {name: heard[node] for node, name in online.items() if node in heard}
            for node, name in sorted(online.items(), key=lambda each: each[1]):
                if name not in self._seen:
                    self._welcome(node, name)
            for name in sorted(self._seen - set(online.values())):
                self._report(f"{name} left")
            self._seen = set(online.values())
            if self._catching_up is not None:
                self._catching_up.collect()
            return {node: name for node, name in online.items() if self._plan.allows(name)}

    def _look_up(self) -> dict[tuple[str, str], ec.EllipticCurvePublicKey]:
        """Return (fingerprint, name) -> key of the enrolled sites.

        While their folder cannot be listed, or no file can be opened, this is the previous result. A site whose key file is
        there, but cannot be read, stays as it was.
        """
        try:
            found = key_files(self._home)
        except OSError as error:
            if not self._is_blind:
                what = (
                    "no file can be opened"
                    if error.errno in NO_HANDLES
                    else f"{self._home.sites} cannot be listed"
                )
                self._report(
                    f"{what} ({error.strerror or error}): enrolments and revocations take effect later"
                )
            self._is_blind = True
            return self._enrolled
        self._is_blind = False
        for problem in sorted(set(found.problems) - self._reported):
            self._report(problem)
        self._reported = set(found.problems)
        enrolled = {(site.fingerprint, site.name): site.key for site in found.sites}
        elsewhere = {site.fingerprint for site in found.sites}
        kept = {
            (digest, name): key
            for (digest, name), key in self._enrolled.items()
            if name in found.unread and digest not in elsewhere
        }
        self._enrolled = kept | enrolled
        return self._enrolled

    def _welcome(self, node: int, name: str) -> None:
        if not self._plan.allows(name):
            self._report(
                f"{name} connected, but {self._plan.origin('sites')} leaves it out of this run"
            )
            return
        self._report(f"{name} connected")
        if self._catching_up is not None:
            self._catching_up.send(node, name, self._fingerprints[node])

    def fingerprint(self, node: int) -> str:
        """SHA-256 of the public key of a node that is or was enrolled, in hexadecimal."""
        with self._lock:
            return self._fingerprints[node]

    def contacts(self) -> dict[str, datetime]:
        """Site -> when it was last heard of, for those that were there since this process began."""
        with self._lock:
            return dict(self._contacts)

    def connected(self) -> set[str]:
        """The names of those that were connected at the last look."""
        with self._lock:
            return set(self._seen)

    def enrolled_nodes(self) -> set[int]:
        """The nodes whose key has not been revoked."""
        with self._lock:
            self.online()
            return set(self._nodes.values())

    def names(self) -> list[str]:
        """All sites that were enrolled at the last look, in order."""
        with self._lock:
            return sorted(name for _, name in self._nodes)

    def expected(self) -> set[str]:
        """The enrolled sites that may take part in this run, connected or not."""
        return {name for name in self.names() if self._plan.allows(name)}

    def receive_audit_heads(self, heads: Mapping[str, Head]) -> None:
        """Store the heads of audit logs, by site, and report a log that went backwards."""
        with self._lock:
            try:
                problems = self._audit_heads.receive(heads)
            except OSError as error:  # a full disk must not end the run
                problems = dict.fromkeys(
                    heads, f"the head of its audit log cannot be stored: {error.strerror}"
                )
        for site, problem in problems.items():
            self._report(f"{site}: {problem}")

    def wait_for_hours(self) -> None:
        """Wait for the hours in which a round may begin."""
        hours, said = self._plan.hours, False
        while hours is not None and (left := hours.wait_from(datetime.now())):
            if not said:
                self._report(
                    f"waiting for the hours {hours}, another {left - timedelta(microseconds=left.microseconds)}"
                )
                said = True
            self.online()
            time.sleep(min(left.total_seconds(), LONGEST_NAP_SECONDS))

    def quorum(self, without: set[int]) -> dict[int, str]:
        """Wait until at least `min_sites` are connected, `without` not counted; says so whenever their number changes.

        Raises `QuorumMissed` when the plan's deadline for it has passed.
        """
        least, timeout = self._plan.min_sites, self._plan.quorum_timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        said: int | None = None
        while (
            len(
                sites := {node: name for node, name in self.online().items() if node not in without}
            )
            < least
        ):
            if len(sites) != said:
                said = len(sites)
                missing = sorted(self.expected() - set(sites.values()))
                self._report(
                    f"waiting for sites: {said} of at least {least} connected; missing: {', '.join(missing) or 'nobody'}"
                )
            if deadline is not None and time.monotonic() > deadline:
                missing = sorted(self.expected() - set(sites.values()))
                raise QuorumMissed(
                    f"{said} of at least {least} sites came within {timeout:g} s; missing or refusing:"
                    f" {', '.join(missing) or 'none that is enrolled'}",
                    "Ask them for their `ecgfl doctor`, wait longer (--quorum-timeout) or ask for fewer (--min-sites);"
                    " serve again goes on after the last finished round",
                )
            time.sleep(POLL_SECONDS)
        return sites
