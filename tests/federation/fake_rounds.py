"""A coordinator's rounds without a network: whatever the sites answer is put in by hand."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from federation_homes import Homes
from flwr.app import Error, RecordDict
from log_lines import Heard
from numpy.typing import NDArray

from ecgfl_cli.federation.coordinator.home import load_signing_key
from ecgfl_cli.federation.coordinator.rounds.rounds import Rounds as CoordinatorRounds
from ecgfl_cli.federation.coordinator.rounds.strategy import aggregator_of
from ecgfl_cli.federation.coordinator.runs.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult, RunPlan
from ecgfl_cli.federation.coordinator.runs.run_record import RunRecord
from ecgfl_cli.federation.flower.codec import content_of
from ecgfl_cli.federation.messages import Content, TrainReply, figures_of
from ecgfl_cli.federation.transport import Reply, Request
from ecgfl_cli.models.packing import pack
from ecgfl_cli.site.audit import Head

NODES = {1: "alice", 2: "bob", 3: "carol"}
LENGTH = 184_802
PLAN = RunPlan("ecgnet", "fedavg", 3, 2, 1, 1e-3, 1e-3, 256, 0, 60.0, max_update_ratio=1e99)
"""Updates of any size: most tests put in weights that no training would make."""


class ConnectedSites:
    """All are there at once. revoked : nodes that were shut out meanwhile."""

    def __init__(self, nodes: Mapping[int, str]) -> None:
        self._nodes = nodes
        self.revoked: set[int] = set()

    def wait_for_hours(self) -> None:
        """It is always time."""

    def quorum(self, without: set[int]) -> dict[int, str]:
        return {node: name for node, name in self._nodes.items() if node not in without}

    def enrolled_nodes(self) -> set[int]:
        return self._nodes.keys() - self.revoked

    def fingerprint(self, node: int) -> str:
        return f"{node:064x}"

    def expected(self) -> set[str]:
        return set(self._nodes.values())

    def receive_audit_heads(self, heads: Mapping[str, Head]) -> None:
        """Nobody looks at them."""


class Rounds:
    """A coordinator, just started, with three sites of which two must answer.

    `begin` asks them to train.
    """

    def __init__(
        self,
        homes: Homes,
        strategy: str = "fedavg",
        nodes: Mapping[int, str] = MappingProxyType(NODES),
        **options: object,
    ) -> None:
        plan = replace(PLAN, strategy=strategy, **options)  # type: ignore[arg-type]
        home = homes.coordinator_home
        self._heard = Heard()
        self.registry = homes.registry("coordinator")
        self.checkpoints = Checkpoints(home, load_signing_key(home), plan)
        self.aggregator = aggregator_of(plan, self.checkpoints.moments)
        self.sites = ConnectedSites(nodes)
        latest = self.checkpoints.latest.manifest
        self.record = RunRecord(home.reports / f"{latest.run}.json", plan, latest)
        self.rounds = CoordinatorRounds(
            plan, self.aggregator, self.checkpoints, self.sites, self.record
        )
        self.requests: dict[int, Request] = {}

    @property
    def weights(self) -> NDArray[np.float32]:
        """The latest model's, as a site would read them."""
        return pack(self.registry.load(self.checkpoints.latest.manifest.version)[1])

    @property
    def said(self) -> list[str]:
        """The messages that were logged since the coordinator started."""
        return self._heard.lines

    @property
    def dropped(self) -> list[str]:
        """The replies that the newest round dropped, in words."""
        return [str(reply) for reply in self.last.dropped]

    @property
    def left_out(self) -> list[str]:
        """The replies that failed rounds dropped, in words."""
        return [str(reply) for reply in self.record.report.left_out]

    @property
    def last(self) -> RoundResult:
        """The newest round that came about."""
        return self.record.rounds[-1]

    def begin(self) -> None:
        """Ask the sites to train."""
        self.requests = {each.node: each for each in self.rounds.training_requests()}

    def begin_measuring(self) -> None:
        """Ask the sites to measure the latest model."""
        self.requests = {each.node: each for each in self.rounds.evaluation_requests()}

    def good(self, node: int, weights: float | NDArray[np.float32], examples: int = 100) -> Reply:
        vector = np.broadcast_to(np.asarray(weights, np.float32), LENGTH).copy()
        trained = TrainReply(examples=examples, pvcs=min(5, examples), loss=0.5)
        return self.answer(node, Content(figures=figures_of(trained), weights=vector))

    def answer(self, node: int, content: RecordDict | Content | Error) -> Reply:
        """The reply of a site, also as Flower's records or error."""
        assert node in self.requests
        if isinstance(content, Error):
            return Reply(node, Content(), content.code)
        return Reply(node, content if isinstance(content, Content) else content_of(content))

    def aggregate(self, *replies: Reply) -> None:
        self.rounds.take_trained(replies)

    def aggregate_measured(self, *replies: Reply) -> None:
        self.rounds.take_measured(replies)
