"""Runs of the coordinator and its sites in this process: no TLS, no ports, no processes."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from time import monotonic

from cryptography.hazmat.primitives.asymmetric import ec
from federation_homes import Homes

from ecgfl_cli.errors import EcgflError
from ecgfl_cli.federation.coordinator.home import load_signing_key
from ecgfl_cli.federation.coordinator.rounds.replies import RoundFailed
from ecgfl_cli.federation.coordinator.rounds.rounds import Rounds
from ecgfl_cli.federation.coordinator.rounds.strategy import aggregator_of
from ecgfl_cli.federation.coordinator.runs.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult, RunPlan
from ecgfl_cli.federation.coordinator.runs.run_record import RunRecord
from ecgfl_cli.federation.simulation.trial import trial
from ecgfl_cli.federation.site.participant import Participant
from ecgfl_cli.federation.site.session import Session
from ecgfl_cli.federation.transport import InMemorySite, InMemoryTransport, RunOver
from ecgfl_cli.site.audit import AuditLog, Head
from ecgfl_cli.site.keys import fingerprint, load_public_key
from ecgfl_cli.site.settings import load_settings

LONGEST_SECONDS = 300.0
"""Time limit for a session on a busy machine."""


@dataclass
class Joined:
    """What became of one site.

    final : version of the model that it ended with, None if there is none.
    problem : the error that ended its session, None if there is none.
    """

    final: str | None = None
    problem: EcgflError | None = None


@dataclass(frozen=True)
class MemoryRun:
    """A run, ended.

    problem : why it failed, None if it did not.
    """

    homes: Homes
    rounds: list[RoundResult]
    final: str
    problem: RoundFailed | None
    joined: dict[str, Joined]


class PresentSites:
    """The sites of a run as `Rounds` sees them: all are present, from a given round on.

    late : the phase, counted from 1, in which a site is first there.
    """

    def __init__(self, homes: Homes, names: Sequence[str], late: Mapping[str, int]) -> None:
        self.nodes = dict(enumerate(names, start=1))
        self._homes, self._late = homes, late
        self._phases = count(1)

    def wait_for_hours(self) -> None:
        """It is always time."""

    def quorum(self, without: set[int]) -> dict[int, str]:
        phase = next(self._phases)
        return {
            node: name
            for node, name in self.nodes.items()
            if node not in without and self._late.get(name, 1) <= phase
        }

    def enrolled_nodes(self) -> set[int]:
        return set(self.nodes)

    def fingerprint(self, node: int) -> str:
        return fingerprint(self._homes.site(self.nodes[node]).node_public_key)

    def node_key(self, node: int) -> ec.EllipticCurvePublicKey:
        return load_public_key(self._homes.site(self.nodes[node]).node_public_key)

    def expected(self) -> set[str]:
        return set(self.nodes.values())

    def receive_audit_heads(self, heads: Mapping[str, Head]) -> None:
        """Ignore them."""


def run_in_memory(
    homes: Homes,
    names: Sequence[str],
    strategy: str = "fedavg",
    late: Mapping[str, int] | None = None,
    plan: RunPlan | None = None,
    **options: object,
) -> MemoryRun:
    """Run a federation of these sites to its end.

    strategy : as `ecgfl simulate --strategy` takes it. late : the phase in which a site is first
    there, for each that is not there from the beginning. plan : in place of strategy and options.
    options : fields of the plan.
    """
    plan = plan or trial(strategy, options, {}).plan
    home = homes.coordinator_home
    checkpoints = Checkpoints(home, load_signing_key(home), plan)
    latest = checkpoints.latest.manifest
    record = RunRecord(home.reports / f"{latest.run}.json", plan, latest, checkpoints.start)
    present, problem = PresentSites(homes, names, late or {}), None
    aggregator = aggregator_of(plan, checkpoints.moments)
    rounds = Rounds(plan, aggregator, checkpoints, present, record, present)
    with _sessions(homes, present.nodes) as (transport, joined):
        try:
            rounds.run(transport)
        except RoundFailed as error:
            problem = error
        record.end(problem)
    final = checkpoints.latest.manifest.version
    return MemoryRun(homes, record.rounds, final, problem, joined)


@contextmanager
def _sessions(
    homes: Homes, nodes: Mapping[int, str]
) -> Iterator[tuple[InMemoryTransport, dict[str, Joined]]]:
    """One session a site, each in a thread; they end after the block."""
    sites = {node: InMemorySite() for node in nodes}
    joined = {name: Joined() for name in nodes.values()}
    threads = [
        threading.Thread(target=_join, args=(homes, name, sites[node], joined[name]), daemon=True)
        for node, name in nodes.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield InMemoryTransport({node: site.answer for node, site in sites.items()}), joined
    finally:
        for site in sites.values():
            site.close()
        for thread in threads:
            thread.join(LONGEST_SECONDS)


def _join(homes: Homes, name: str, site: InMemorySite, joined: Joined) -> None:
    """One session of a site, with the code of `ecgfl join`."""
    home = homes.site(name)
    settings = load_settings(home.settings)
    participant = Participant(home, settings, homes.federation, "in memory")
    session = Session(site, participant, AuditLog(home.audit))
    try:
        deadline = monotonic() + LONGEST_SECONDS
        if session.wait(deadline):
            session.take_part(deadline)
    except RunOver:
        pass  # this site was not asked
    except EcgflError as error:
        joined.problem = error
    finally:
        site.leave()
    if participant.final is not None:
        joined.final = participant.final.version
