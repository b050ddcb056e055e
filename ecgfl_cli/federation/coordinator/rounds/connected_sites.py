"""Watch which enrolled sites are connected, and wait until there are enough."""

import contextlib
import logging
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
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan
from ecgfl_cli.federation.flower.superlink import SuperLink
from ecgfl_cli.logs import Event, event
from ecgfl_cli.site.audit import Head

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""Time between two looks at the connected sites while more are needed."""
LONGEST_NAP_SECONDS = 5.0
"""Time between two looks at the clock: the machine may sleep, or change to summer time."""


class QuorumMissed(ServerError):
    """Too few sites connected in time. The last checkpoint remains."""


class ConnectedSites:
    """Keeps the nodes of the SuperLink in step with the enrolled sites.

    Its methods may be called from any thread.

    Parameters
    ----------
    home
        Home of the coordinator.
    superlink
        The SuperLink.
    plan
        Plan of the run.
    """

    def __init__(self, home: CoordinatorHome, superlink: SuperLink, plan: RunPlan) -> None:
        self._home = home
        self._superlink = superlink
        self._plan = plan
        self._lock = threading.RLock()
        self._nodes: dict[tuple[str, str], int] = {}
        self._fingerprints: dict[int, str] = {}
        self._node_keys: dict[int, ec.EllipticCurvePublicKey] = {}
        self._connected: set[str] = set()
        self._warned_of: set[str] = set()
        self._contacts: dict[str, datetime] = {}
        self._enrolled: dict[tuple[str, str], ec.EllipticCurvePublicKey] = {}
        self._is_blind = False
        self._catching_up: CatchingUp | None = None
        self._audit_heads = AuditHeads(home.audit_heads)

    @contextlib.contextmanager
    def told_by(self, catching_up: CatchingUp) -> Iterator[None]:
        """Return a context in which each connected site of this run receives the last run's model.

        Sites that connect later receive it then.
        """
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
        """Return node id -> name of the connected sites of this run.

        Sites that were enrolled or revoked meanwhile are registered or removed.
        """
        with self._lock:
            self._register()
            online = self._superlink.online()
            last_contacts = self._superlink.last_contacts()
            self._contacts |= {
                name: last_contacts[node] for node, name in online.items() if node in last_contacts
            }
            for node, name in sorted(online.items(), key=lambda item: item[1]):
                if name not in self._connected:
                    self._welcome(node, name)
            for name in sorted(self._connected - set(online.values())):
                _log.info(f"{name} left", extra=event(Event.SITE_LEFT, site=name))
            self._connected = set(online.values())
            if self._catching_up is not None:
                self._catching_up.collect()
            return {node: name for node, name in online.items() if self._plan.allows(name)}

    def _register(self) -> None:
        """Register new sites in the SuperLink, and remove revoked ones."""
        enrolled = self._look_up()
        for site in self._nodes.keys() - enrolled.keys():
            self._superlink.unregister(self._nodes.pop(site))
            _log.warning(
                f"{site[1]}: its key was revoked, and its session was closed",
                extra=event(Event.SITE_REVOKED, site=site[1]),
            )
        for site in enrolled.keys() - self._nodes.keys():
            self._nodes[site] = self._superlink.register(enrolled[site], site[1])
            self._fingerprints[self._nodes[site]] = site[0]
            self._node_keys[self._nodes[site]] = enrolled[site]

    def _look_up(self) -> dict[tuple[str, str], ec.EllipticCurvePublicKey]:
        """Return (fingerprint, name) -> key of the enrolled sites.

        If their folder cannot be listed or no file can be opened, this is the previous result. A
        site whose key file exists but cannot be read stays as it was.
        """
        try:
            files = key_files(self._home)
        except OSError as error:
            self._warn_of_unreadable_sites(error)
            return self._enrolled
        self._is_blind = False
        for problem in sorted(set(files.problems) - self._warned_of):
            _log.warning(problem)
        self._warned_of = set(files.problems)
        enrolled = {(site.fingerprint, site.name): site.key for site in files.sites}
        elsewhere = {site.fingerprint for site in files.sites}
        kept = {
            (digest, name): key
            for (digest, name), key in self._enrolled.items()
            if name in files.unread and digest not in elsewhere
        }
        self._enrolled = kept | enrolled
        return self._enrolled

    def _warn_of_unreadable_sites(self, error: OSError) -> None:
        """Log that the key files cannot be read, once."""
        if not self._is_blind:
            problem = (
                "no file can be opened"
                if error.errno in NO_HANDLES
                else f"{self._home.sites} cannot be listed"
            )
            _log.warning(
                f"{problem} ({error.strerror or error}): enrolments and revocations take effect"
                " later",
                extra=event(Event.SITES_UNREADABLE, errno=error.errno),
            )
        self._is_blind = True

    def _welcome(self, node: int, name: str) -> None:
        """Log that a site has connected, and send it the last run's model."""
        is_allowed = self._plan.allows(name)
        reason = f", but {self._plan.origin('sites')} leaves it out of this run"
        _log.info(
            f"{name} connected{'' if is_allowed else reason}",
            extra=event(Event.SITE_CONNECTED, site=name, takes_part=is_allowed),
        )
        if is_allowed and self._catching_up is not None:
            self._catching_up.send(node, name, self._fingerprints[node])

    def fingerprint(self, node: int) -> str:
        """Return the SHA-256 of a node's public key, in hexadecimal.

        Parameters
        ----------
        node
            A node that is or was enrolled.
        """
        with self._lock:
            return self._fingerprints[node]

    def node_key(self, node: int) -> ec.EllipticCurvePublicKey:
        """Return a node's enrolled public key.

        Parameters
        ----------
        node
            A node that is or was enrolled.
        """
        with self._lock:
            return self._node_keys[node]

    def contacts(self) -> dict[str, datetime]:
        """Return site -> last contact, for the sites that connected since this process began."""
        with self._lock:
            return dict(self._contacts)

    def connected(self) -> set[str]:
        """Return the names of the sites that were connected at the last look."""
        with self._lock:
            return set(self._connected)

    def enrolled_nodes(self) -> set[int]:
        """Return the nodes whose key has not been revoked."""
        with self._lock:
            self.online()
            return set(self._nodes.values())

    def names(self) -> list[str]:
        """Return the names of all sites that were enrolled at the last look, sorted."""
        with self._lock:
            return sorted(name for _, name in self._nodes)

    def expected(self) -> set[str]:
        """Return the enrolled sites that may take part in this run, connected or not."""
        return {name for name in self.names() if self._plan.allows(name)}

    def receive_audit_heads(self, heads: Mapping[str, Head]) -> None:
        """Store the heads of audit logs, by site, and warn of a log that went backwards."""
        with self._lock:
            try:
                problems = self._audit_heads.receive(heads)
            except OSError as error:  # a full disk must not end the run
                problems = dict.fromkeys(
                    heads, f"the head of its audit log cannot be stored: {error.strerror}"
                )
        for site, problem in problems.items():
            _log.warning(f"{site}: {problem}")

    def wait_for_hours(self) -> None:
        """Wait for the hours in which a round may begin."""
        hours = self._plan.hours
        has_logged = False
        while hours is not None and (left := hours.wait_from(datetime.now())):
            if not has_logged:
                seconds = timedelta(seconds=int(left.total_seconds()))
                _log.info(
                    f"waiting for the hours {hours}, which begin in {seconds}",
                    extra=event(Event.WAITING_FOR_HOURS, hours=str(hours)),
                )
                has_logged = True
            self.online()
            time.sleep(min(left.total_seconds(), LONGEST_NAP_SECONDS))

    def quorum(self, without: set[int]) -> dict[int, str]:
        """Wait until enough sites are connected, and return node id -> name.

        Whenever the number of connected sites changes, it is logged.

        Parameters
        ----------
        without
            Nodes that do not count.

        Raises
        ------
        QuorumMissed
            If the plan's time limit has passed.
        """
        needed = self._plan.min_sites
        timeout = self._plan.quorum_timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        logged: int | None = None
        while True:
            sites = {node: name for node, name in self.online().items() if node not in without}
            if len(sites) >= needed:
                return sites
            missing = sorted(self.expected() - set(sites.values()))
            if len(sites) != logged:
                logged = len(sites)
                _log.info(
                    f"waiting for sites: {logged} of at least {needed} connected; missing:"
                    f" {', '.join(missing) or 'nobody'}",
                    extra=event(
                        Event.WAITING_FOR_SITES, connected=logged, needed=needed, missing=missing
                    ),
                )
            if deadline is not None and time.monotonic() > deadline:
                raise QuorumMissed(
                    f"{len(sites)} of at least {needed} sites connected within {timeout:g} s;"
                    f" missing or refusing: {', '.join(missing) or 'none that is enrolled'}",
                    "Ask them for the result of `ecgfl doctor`, wait longer (--quorum-timeout) or"
                    " require fewer sites (--min-sites); serve again to resume after the last"
                    " finished round",
                )
            time.sleep(POLL_SECONDS)
