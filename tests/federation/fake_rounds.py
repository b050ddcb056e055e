"""A coordinator's rounds without a network: whatever the sites answer is put in by hand."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from fake_messages import reply
from federation_homes import Homes
from flwr.app import ConfigRecord, Error, Message, RecordDict
from numpy.typing import NDArray

from ecgfl_cli.federation.coordinator.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.home import load_signing_key
from ecgfl_cli.federation.coordinator.run_plan import RoundResult, RunPlan
from ecgfl_cli.federation.coordinator.run_record import RunRecord
from ecgfl_cli.federation.flower.strategies import build_strategy
from ecgfl_cli.federation.messages import TrainReply, reply_content, weights_record
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
    """A coordinator, just started, with three sites of which two must answer; `begin` asks them to train."""

    def __init__(
        self,
        homes: Homes,
        strategy: str = "fedavg",
        nodes: Mapping[int, str] = MappingProxyType(NODES),
        **options: object,
    ) -> None:
        plan = replace(PLAN, strategy=strategy, **options)  # type: ignore[arg-type]
        home = homes.coordinator_home
        self.said: list[str] = []
        self.registry = homes.registry("coordinator")
        self.checkpoints = Checkpoints(home, load_signing_key(home), plan)
        self.strategy = build_strategy(plan)
        self.sites = ConnectedSites(nodes)
        latest = self.checkpoints.latest.manifest
        self.record = RunRecord(home.reports / f"{latest.run}.json", plan, latest)
        self.strategy.prepare(plan, self.checkpoints, self.sites, self.said.append, self.record)
        self.requests: dict[int, Message] = {}
        self._begun = 0

    @property
    def weights(self) -> NDArray[np.float32]:
        """The latest model's, as a site would read them."""
        return pack(self.registry.load(self.checkpoints.latest.manifest.version)[1])

    @property
    def last(self) -> RoundResult:
        """The newest round that came about."""
        return self.record.rounds[-1]

    def begin(self) -> None:
        self._begun += 1
        self._ask(
            self.strategy.configure_train(
                self._begun, self.checkpoints.arrays(), ConfigRecord(), None
            )
        )  # type: ignore[arg-type]

    def begin_measuring(self) -> None:
        """Ask the sites to measure the latest model."""
        self._ask(
            self.strategy.configure_evaluate(
                self._begun, self.checkpoints.arrays(), ConfigRecord(), None
            )
        )  # type: ignore[arg-type]

    def _ask(self, messages: Iterable[Message]) -> None:
        self.requests = {message.metadata.dst_node_id: message for message in messages}
        for node, message in self.requests.items():
            message.metadata.__dict__.update(
                _run_id=7, _message_id=f"request-{node}", _src_node_id=99
            )

    def good(self, node: int, weights: float | NDArray[np.float32], examples: int = 100) -> Message:
        vector = np.broadcast_to(np.asarray(weights, np.float32), LENGTH).copy()
        trained = TrainReply(examples=examples, pvcs=min(5, examples), loss=0.5)
        return self.answer(node, reply_content(trained, weights_record(vector)))

    def answer(self, node: int, content: RecordDict | Error) -> Message:
        return reply(self.requests[node], content)

    def aggregate(self, *replies: Message) -> None:
        self.strategy.aggregate_train(self._begun, replies)

    def aggregate_measured(self, *replies: Message) -> None:
        self.strategy.aggregate_evaluate(self._begun, replies)
