"""Compare strategies on virtual sites. Each strategy starts from the same weights."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

from ecgfl_cli.errors import EcgflError, UnusableInput
from ecgfl_cli.federation.bounds import LARGEST_PROXIMAL_MU
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.report_page import write_pages
from ecgfl_cli.federation.coordinator.rounds.replies import RoundFailed
from ecgfl_cli.federation.coordinator.rounds.rounds import Rounds
from ecgfl_cli.federation.coordinator.rounds.strategy import aggregator_of
from ecgfl_cli.federation.coordinator.runs.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult, RunPlan
from ecgfl_cli.federation.coordinator.runs.run_record import RunRecord, RunReport
from ecgfl_cli.federation.simulation.ray_engine import run_engine
from ecgfl_cli.federation.simulation.trial import Trial
from ecgfl_cli.federation.simulation.virtual_participant import VirtualParticipants
from ecgfl_cli.federation.simulation.virtual_sites import VirtualSite, fingerprint_of_virtual_site
from ecgfl_cli.federation.transport import CoordinatorTransport
from ecgfl_cli.logs import Event, event, log_fields
from ecgfl_cli.models.manifest import public_key_text
from ecgfl_cli.site.audit import Head
from ecgfl_cli.site.policy import Policy

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Simulated:
    """The run of one trial.

    Attributes
    ----------
    name
        Name of the trial.
    report
        Report of the run.
    seconds
        Duration of the run, without the start of the engine.
    page
        HTML page of the report, if one was written.
    """

    name: str
    report: RunReport
    seconds: float
    page: Path | None

    @property
    def last(self) -> RoundResult | None:
        """The last finished round."""
        return self.report.rounds[-1] if self.report.rounds else None


def simulate(
    sites: Sequence[VirtualSite],
    trials: Sequence[Trial],
    folder: Path,
    out: Path | None,
    jobs: int,
) -> list[Simulated]:
    """Run the trials one after the other on the same sites. A run that fails does not stop others.

    Parameters
    ----------
    sites
        The virtual sites.
    trials
        The trials.
    folder
        Folder for the files of the simulated coordinator.
    out
        Folder for the report of each run; None writes no reports.
    jobs
        Number of processes.
    """
    key = ed25519.Ed25519PrivateKey.generate()
    participants = VirtualParticipants(
        sites,
        _permissive_policy([trial.plan for trial in trials]),
        public_key_text(key.public_key()),
    )
    done: list[Simulated] = []

    def drive(transport: CoordinatorTransport, places: Mapping[int, int]) -> None:
        present = _AllPresent({node: sites[place].name for node, place in places.items()})
        for trial in trials:
            checkpoints = Checkpoints(CoordinatorHome(folder / trial.file_name), key, trial.plan)
            with log_fields(source=trial.name, trial=trial.name):
                done.append(_run(trial, transport, checkpoints, present, out))

    _log.info(
        f"starting Flower's simulation engine: {len(sites)} virtual sites in {jobs} processes;"
        " nothing leaves this machine",
        extra=event(Event.ENGINE_STARTED, sites=len(sites), processes=jobs),
    )
    run_engine(participants, len(sites), jobs, drive)
    return done


def _run(
    trial: Trial,
    transport: CoordinatorTransport,
    checkpoints: Checkpoints,
    sites: "_AllPresent",
    out: Path | None,
) -> Simulated:
    plan = trial.plan
    path = None if out is None else out / f"{trial.file_name}.json"
    if path is not None:
        path.unlink(missing_ok=True)  # otherwise the record would continue it
    record = RunRecord(path, plan, checkpoints.latest.manifest, checkpoints.start)
    began = time.monotonic()
    try:
        aggregator = aggregator_of(plan)
        Rounds(plan, aggregator, checkpoints, sites, record).run(transport)
    except RoundFailed as error:
        record.end(
            UnusableInput(
                error.problem,
                "The reason of each site is above; a smaller --learning-rate may help",
            )
        )
    except EcgflError as error:
        record.end(error)
    except BaseException as error:
        record.end(error)
        raise
    else:
        record.end()
    page = None if path is None else path.with_suffix(".html")
    if path is not None:
        write_pages(record.report, path)
    return Simulated(trial.name, record.report, time.monotonic() - began, page)


def _permissive_policy(plans: Sequence[RunPlan]) -> Policy:
    """Return a policy that allows everything in the plans."""
    return Policy(
        architectures=sorted({plan.architecture for plan in plans}),
        max_rounds=sum(plan.rounds for plan in plans),
        max_local_epochs=max(plan.local_epochs for plan in plans),
        min_learning_rate=0.0,
        max_learning_rate=max(plan.learning_rate for plan in plans),
        min_steps=1,
        min_batch_size=1,
        max_batch_size=max(plan.batch_size for plan in plans),
        max_proximal_mu=LARGEST_PROXIMAL_MU,
        min_training_patients=1,
        min_training_beats=1,
        min_held_out_patients=1,
        min_held_out_beats=1,
        min_held_out_pvcs=0,
    )


class _AllPresent:
    """The virtual sites as `Rounds` sees them: they are always present."""

    def __init__(self, names: dict[int, str]) -> None:
        self._names = names

    def wait_for_hours(self) -> None:
        """Return immediately."""

    def quorum(self, without: set[int]) -> dict[int, str]:
        """Return node id -> name of the sites, except the nodes in `without`."""
        return {node: name for node, name in self._names.items() if node not in without}

    def enrolled_nodes(self) -> set[int]:
        """Return all nodes."""
        return set(self._names)

    def fingerprint(self, node: int) -> str:
        """Return the fingerprint of a virtual site."""
        return fingerprint_of_virtual_site(self._names[node])

    def expected(self) -> set[str]:
        """Return the names of all sites."""
        return set(self._names.values())

    def receive_audit_heads(self, heads: Mapping[str, Head]) -> None:
        """Do nothing: virtual sites have no audit logs."""
