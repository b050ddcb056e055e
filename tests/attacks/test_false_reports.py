"""One of four sites reports false counts and figures; the others still get a good model."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from federation_homes import SITES, Homes, ecgfl
from invented_figures import CLAIMED, perfect
from light_sites import LightParticipant, take_part
from node_processes import Ended, Processes, told

from ecgfl_cli.federation.messages import Kind, TrainReply, figures_of
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.site.outbox import Release

pytestmark = pytest.mark.slow

LIAR = "mallory"
BEATS = TrainReply(examples=2 * CLAIMED, pvcs=CLAIMED, loss=0.0)


class Liar(LightParticipant):
    """Claim the largest number of beats that is accepted, and perfect figures.

    Their logits would spoil the threshold for all other sites.
    """

    lies = perfect(2.75, 5.75)

    def trained(self, vector: Any) -> Release:
        return Release(Kind.TRAIN, figures_of(BEATS), vector)

    def measured(self, this_round: int) -> Release:  # noqa: ARG002
        return Release(Kind.EVALUATE, self.lies)


class AllIsV(Liar):
    lies = perfect(-6.25, -5.25)


class Contradiction(Liar):
    """Claim more detected PVCs than there are PVCs."""

    lies = perfect(2.75, 5.75) | {"true_positives": CLAIMED + 1}


@dataclass(frozen=True)
class Run:
    """A finished run of three honest sites and a liar."""

    homes: Homes
    served: Ended

    @property
    def rounds(self) -> list[dict[str, Any]]:
        rounds: list[dict[str, Any]] = self.served.result["rounds"]
        return rounds

    @property
    def final(self) -> Manifest:
        return self.homes.registry("coordinator").entry(self.served.result["model"]).manifest

    def honest_f1(self, number: int) -> float:
        """Return F1 of a round's model, gross over the honest sites."""
        sites = [self.rounds[number - 1]["by_site"][name] for name in SITES]
        true, false, pvcs = (
            sum(site[name] for site in sites)
            for name in ("true_positives", "false_positives", "pvcs")
        )
        assert pvcs > 0
        return float(2 * true / (true + false + pvcs))


def run_with(liar: type[Liar], strategy: str, homes: Homes, processes: Processes) -> Run:
    home = homes.site(LIAR)
    ecgfl(home.root, "init", "--site", LIAR, "--federation", str(homes.coordinator_home.federation))
    ecgfl(homes.coordinator, "coordinator", "enrol", str(home.node_public_key), "--site", LIAR)
    server, port = processes.serve(
        homes.coordinator, "--rounds", "2", "--min-sites", "4", "--strategy", strategy
    )
    joins = [processes.join(homes.site(name).root, port) for name in SITES]
    lying = threading.Thread(
        target=take_part, args=(home, 0, f"localhost:{port}", homes.federation, liar), daemon=True
    )
    lying.start()
    served = server.finish()
    assert served.code == 0, served.said
    assert [join.finish().code for join in joins] == [0, 0, 0]
    lying.join(timeout=60)
    return Run(homes, served)


@pytest.fixture(
    scope="module",
    params=[("median", Liar), ("median", AllIsV), ("fedavg", Liar), ("fedavg", AllIsV)],
    ids=lambda value: f"{value[0]}-{value[1].__name__}",
)
def attacked(
    request: pytest.FixtureRequest, copied: Callable[[str], Homes], module_processes: Processes
) -> tuple[str, Run]:
    strategy, liar = request.param
    return strategy, run_with(liar, strategy, copied("lied-to"), module_processes)


def test_invented_figures_do_not_spoil_the_model(attacked: tuple[str, Run]) -> None:
    """The first model has the starter's threshold; the liar's figures affect the second."""
    _, run = attacked
    assert run.honest_f1(2) > run.honest_f1(1) - 0.05
    assert 0.05 <= run.final.threshold <= 0.5
    assert 0.1 <= run.final.calibration.scale <= 10


def test_weight_of_claimed_beats_is_capped(attacked: tuple[str, Run]) -> None:
    strategy, run = attacked
    for each in run.rounds:
        assert set(each["sites"]) == {*SITES, LIAR}, "a large site is not refused for its size"
        sites = each["by_site"]
        usual = float(np.median([sites[name]["train_beats"] for name in sites]))
        assert sites[LIAR]["counted_beats"] == pytest.approx(3 * usual, abs=1)
        counted = sum(site["counted_beats"] for site in sites.values())
        assert each["examples"] == pytest.approx(counted, abs=len(sites)), (
            "each figure is rounded on its own"
        )
        if strategy == "fedavg":
            assert sites[LIAR]["weight"] == pytest.approx(
                sites[LIAR]["counted_beats"] / each["examples"], abs=1e-3
            )
            assert [
                line
                for line in run.served.said
                if f"{LIAR}: 10000000 training beats count as" in line
            ]
    assert run.final.examples < 100_000
    assert run.final.parent_metrics is not None
    assert run.final.parent_metrics.beats < 100_000


def test_report_names_the_dishonest_site(attacked: tuple[str, Run]) -> None:
    strategy, run = attacked
    last = run.rounds[-1]
    assert last["by_site"][LIAR]["sensitivity"] == 1.0
    assert {"train_beats", "beats"} <= set(last["by_site"][LIAR]["deviates"])
    assert not any(last["by_site"][name]["deviates"] for name in SITES)
    if strategy == "median":
        honest = [last["by_site"][name]["sensitivity"] for name in SITES]
        assert (
            min(honest)
            <= last["metrics"]["sensitivity"]
            <= max(1.0 * max(honest), float(np.median([*honest, 1.0])))
        )
    page = (run.homes.coordinator_home.reports / f"{run.served.result['run']}.html").read_text(
        encoding="utf-8"
    )
    assert f"<td>{LIAR}</td><td>training beats 10000000 (median " in page
    assert f"100.0 ({CLAIMED} of {CLAIMED})" in page
    shown = told(run.homes.coordinator, "coordinator", "status")
    assert shown.result["rounds"][-1]["by_site"][LIAR]["deviates"]


def test_contradictory_figures_are_left_out(homes: Homes, processes: Processes) -> None:
    run = run_with(Contradiction, "fedavg", homes, processes)
    for each in run.rounds:
        (line,) = each["dropped"]
        assert line.startswith(f"{LIAR}: ")
        assert f"true_positives {CLAIMED + 1} is more than pvcs, {CLAIMED}" in line
        assert each["metrics"]["beats"] == sum(each["by_site"][name]["beats"] for name in SITES)
