"""A site that is killed while it trains, uploads or is sent a model to measure loses that round, and is back by itself.

All three are killed in round 2 of one run, for the coordinator takes a minute to give up a session.
"""

import json
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Homes
from faulty_line import FaultyLine, faulty_line
from more_sites import with_more_sites
from node_processes import Command, Ended, Processes, contents, told

from ecgfl_cli.models.registry import MAKING

pytestmark = pytest.mark.slow

ROUNDS = 10
PLAN = ("--rounds", str(ROUNDS), "--min-sites", "2", "--arch", "ecgnet", "--local-epochs", "10", "--phase-timeout", "12s")
PHASES = {"carol": "training", "dave": "upload", "erin": "evaluation"}
MODEL = 600_000
"""Bytes, fewer than the network's weights have."""

MIDDLE = 300_000
WITHIN_SECONDS = 150.0


@dataclass(frozen=True)
class Run:
    """How all ended. left : what the kill changed of each killed site's files since round 1. events : of its audit log
    from then on."""

    homes: Homes
    served: Ended
    joined: dict[str, Ended]
    left: dict[str, dict[str, bytes]]
    events: dict[str, list[dict[str, Any]]]

    def round(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.served.result["rounds"][number - 1]
        return found


@pytest.fixture(scope="module")
def run(copied: Callable[[str], Homes], module_processes: Processes) -> Run:
    homes = with_more_sites(copied("killed-sites"), "dave", "erin")
    server, port = module_processes.serve(homes.coordinator, *PLAN)
    sites = {name: module_processes.join(homes.site(name).root, port) for name in ("alice", "bob")}
    server.wait_for("round 1 of")
    # Alice is held until all are there.
    sites["alice"].send(signal.SIGSTOP)
    with ExitStack() as lines:
        there: dict[str, FaultyLine] = {name: lines.enter_context(faulty_line(port)) for name in PHASES}
        sites |= {name: module_processes.join(homes.site(name).root, line.port) for name, line in there.items()}
        for name in PHASES:
            server.wait_for(f"{name} connected")
        sites["alice"].send(signal.SIGCONT)
        for name in PHASES:
            sites[name].wait_for("round 1 of .* received")
        before = {name: contents(homes.site(name).root) for name in PHASES}
        _kill_in_each_phase(sites, there, server)
        left = {name: contents(homes.site(name).root) for name in PHASES}
        events = {name: _events(homes, name) for name in PHASES}
        for line in there.values():
            line.heal()
        sites |= {name: module_processes.join(homes.site(name).root, there[name].port, max_wait="120s") for name in PHASES}
        joined = {name: site.finish(WITHIN_SECONDS) for name, site in sites.items()}
        served = server.finish(WITHIN_SECONDS)
    changed = {name: {file: data for file, data in left[name].items() if before[name].get(file) != data} for name in PHASES}
    return Run(homes, served, joined, changed, events)


def _kill_in_each_phase(sites: dict[str, Command], lines: dict[str, FaultyLine], server: Command) -> None:
    lines["dave"].hold_within("up", MIDDLE)
    lines["carol"].wait_until_passed("down", 2 * MODEL)  # the first was to be measured
    sites["carol"].kill()
    sites["erin"].wait_for("round 2 of .* trained")
    lines["erin"].hold_within("down", MIDDLE)
    lines["dave"].wait_until_broken()
    sites["dave"].kill()
    server.wait_for("reply dropped: carol")
    lines["erin"].wait_until_broken()
    sites["erin"].kill()


def _events(homes: Homes, name: str) -> list[dict[str, Any]]:
    """What its audit log tells since it sent the figures of round 1."""
    lines = [json.loads(line) for line in homes.site(name).audit.read_text().splitlines()]
    measured = max(number for number, line in enumerate(lines) if line.get("kind") == "evaluate")
    return lines[measured + 1 :]


def test_the_run_of_the_others_goes_on(run: Run) -> None:
    assert run.served.code == 0, run.served.said
    assert [each["round"] for each in run.served.result["rounds"]] == list(range(1, ROUNDS + 1))
    assert all({"alice", "bob"} <= set(each["sites"]) for each in run.served.result["rounds"])
    assert [run.joined[name].code for name in ("alice", "bob")] == [0, 0]


def test_killed_in_training_it_sent_nothing_and_its_round_is_lost(run: Run) -> None:
    assert run.events["carol"] == []
    assert run.left["carol"] == {}
    assert "carol" not in run.round(2)["sites"]
    assert "carol: no answer" in run.round(2)["dropped"]


def test_killed_in_the_upload_half_a_reply_enters_no_model(run: Run) -> None:
    assert [(each["event"], each["kind"]) for each in run.events["dave"]] == [("send", "train")]
    assert run.left["dave"] == {}
    assert "dave" not in run.round(2)["sites"]
    assert [line for line in run.round(2)["dropped"] if line.startswith("dave: ")]


def test_killed_while_it_is_sent_the_model_it_keeps_nothing_of_it(run: Run) -> None:
    assert "erin" in run.round(2)["sites"], "what it had trained before is in the model"
    assert [(each["event"], each["kind"]) for each in run.events["erin"]] == [("send", "train")]
    assert run.left["erin"] == {}


@pytest.mark.parametrize("name", PHASES)
def test_started_again_it_waits_for_its_old_sessions_end_and_takes_part(run: Run, name: str) -> None:
    ended, home = run.joined[name], run.homes.site(name)
    assert ended.code == 0, ended.said
    assert [line for line in ended.said if "last session" in line]
    assert name in run.round(ROUNDS)["sites"]
    assert run.homes.registry(name).current() == run.served.result["model"]
    assert told(home.root, "audit", "verify").code == 0
    assert told(home.root, "model", "verify").code == 0
    assert list(home.models.glob(f"{MAKING}*")) == []
