"""A line that is slow, breaks, is cut or carries nothing any more costs at most the round in hand."""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Homes
from faulty_line import faulty_line
from more_sites import with_more_sites
from node_processes import Ended, Processes, told

from ecgfl_cli.models.registry import MAKING

pytestmark = pytest.mark.slow

ECGNET = ("--min-sites", "2", "--arch", "ecgnet")
MIDDLE = 300_000
"""Bytes, about half of what the network's weights have."""

MODEL = 600_000
"""Bytes, fewer than a message with the network's weights has."""

CHUNK_SECONDS, ROUNDS = 0.01, 5


def assert_whole(homes: Homes, *names: str) -> None:
    """The logs and the models verify, and nothing is half there."""
    for name in names:
        home = homes.site(name)
        assert told(home.root, "audit", "verify").code == 0
        assert told(home.root, "model", "verify").code == 0
        assert list(home.models.glob(f"{MAKING}*")) == []


def test_messages_that_break_off_on_a_slow_line_are_sent_again(homes: Homes, processes: Processes) -> None:
    server, port = processes.serve(homes.coordinator, *ECGNET, "--rounds", "1")
    with faulty_line(port) as alices, faulty_line(port) as bobs:
        for line in (alices, bobs):
            line.slow_down(CHUNK_SECONDS)
        alices.break_off("down", MIDDLE, times=2)
        bobs.break_off("up", MIDDLE)
        joins = [processes.join(homes.site(name).root, line.port) for name, line in (("alice", alices), ("bob", bobs))]
        served = server.finish()
        assert [join.finish().code for join in joins] == [0, 0]
        assert (alices.broken, bobs.broken) == (2, 1)
    assert served.code == 0, served.said
    assert (served.result["rounds"][0]["sites"], served.result["rounds"][0]["dropped"]) == (["alice", "bob"], [])
    assert_whole(homes, "alice", "bob")


def test_a_line_that_is_cut_in_training_and_healed_costs_nothing(homes: Homes, processes: Processes) -> None:
    server, port = processes.serve(homes.coordinator, *ECGNET, "--rounds", "2")
    with faulty_line(port) as line:
        alice, bob = processes.join(homes.site("alice").root, line.port), processes.join(homes.site("bob").root, port)
        line.hold_within("down", MIDDLE)
        line.wait_until_broken()
        line.cut()
        alice.wait_for("not reached, trying again")
        line.heal()
        served = server.finish()
        assert [join.finish().code for join in (alice, bob)] == [0, 0]
    assert served.code == 0, served.said
    assert [(each["sites"], each["dropped"]) for each in served.result["rounds"]] == [(["alice", "bob"], [])] * 2
    assert_whole(homes, "alice", "bob")


@dataclass(frozen=True)
class Stalled:
    """A run in which Carol's line carried nothing any more from the evaluation of round 1 on; Dave was stopped in the training of
    round 2, and went on in round 3."""

    homes: Homes
    served: Ended
    joined: dict[str, Ended]

    def round(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.served.result["rounds"][number - 1]
        return found


@pytest.fixture(scope="module")
def stalled(copied: Callable[[str], Homes], module_processes: Processes) -> Stalled:
    if sys.platform == "win32":
        pytest.skip("no process can be held there")
    homes = with_more_sites(copied("stalled"), "dave")
    plan = ("--rounds", str(ROUNDS), "--local-epochs", "10", "--phase-timeout", "8s")
    server, port = module_processes.serve(homes.coordinator, *ECGNET, *plan)
    sites = {name: module_processes.join(homes.site(name).root, port) for name in ("alice", "bob")}
    server.wait_for("round 1 of")
    sites["alice"].send(signal.SIGSTOP)  # until all are there
    with faulty_line(port) as carols, faulty_line(port) as daves:
        sites["carol"] = module_processes.join(homes.site("carol").root, carols.port, max_wait="10s")
        sites["dave"] = module_processes.join(homes.site("dave").root, daves.port)
        for name in ("carol", "dave"):
            server.wait_for(f"{name} connected")
        carols.hold_within("down", MIDDLE)
        sites["alice"].send(signal.SIGCONT)
        daves.wait_until_passed("down", 2 * MODEL)
        sites["dave"].send(signal.SIGSTOP)
        server.wait_for("round 3 of .*: training")
        sites["dave"].send(signal.SIGCONT)
        joined = {name: site.finish() for name, site in sites.items()}
    return Stalled(homes, server.finish(), joined)


def test_a_phase_waits_for_nobody_beyond_its_time(stalled: Stalled) -> None:
    assert stalled.served.code == 0, stalled.served.said
    assert [each["round"] for each in stalled.served.result["rounds"]] == list(range(1, ROUNDS + 1))
    assert all({"alice", "bob"} <= set(each["sites"]) for each in stalled.served.result["rounds"])
    assert [stalled.joined[name].code for name in ("alice", "bob")] == [0, 0]


def test_a_site_whose_line_carries_nothing_ends_and_says_so(stalled: Stalled) -> None:
    line = stalled.joined["carol"].refused(4)
    assert "not reached within 10 s" in line
    assert "carol: no answer" in stalled.round(1)["dropped"]
    assert all("carol" not in each["sites"] for each in stalled.served.result["rounds"])
    assert stalled.homes.registry("carol").entries() == []
    assert_whole(stalled.homes, "carol")


def test_a_stopped_site_loses_its_round_and_takes_part_in_the_next(stalled: Stalled) -> None:
    assert "dave" not in stalled.round(2)["sites"]
    assert "dave: no answer" in stalled.round(2)["dropped"]
    assert "dave" in stalled.round(ROUNDS)["sites"]
    ended = stalled.joined["dave"]
    assert ended.code == 0, ended.said
    assert [line for line in ended.said if "no longer waits for this reply" in line]
    assert stalled.homes.registry("dave").current() == stalled.served.result["model"]
    assert_whole(stalled.homes, "dave")
