"""Broken messages, and a slow or interrupted line, lose no round.

`test_stalled_site` tests a line that stays silent.
"""

import pytest
from faulty_line import faulty_line
from federation_homes import Homes
from node_processes import Processes, told

from ecgfl_cli.logs import Event
from ecgfl_cli.models.model_files import MAKING

pytestmark = pytest.mark.slow

ECGNET = ("--min-sites", "2", "--arch", "ecgnet")
MIDDLE = 300_000
"""Bytes, about half of what the network's weights have."""

CHUNK_SECONDS = 0.01


def assert_whole(homes: Homes, *names: str) -> None:
    """The logs and the models verify, and nothing is half there."""
    for name in names:
        home = homes.site(name)
        assert told(home.root, "audit", "verify").code == 0
        assert told(home.root, "model", "verify").code == 0
        assert list(home.models.glob(f"{MAKING}*")) == []


def test_messages_that_break_off_on_a_slow_line_are_sent_again(
    homes: Homes, processes: Processes
) -> None:
    server, port = processes.serve(homes.coordinator, *ECGNET, "--rounds", "1")
    with faulty_line(port) as alices, faulty_line(port) as bobs:
        for line in (alices, bobs):
            line.slow_down(CHUNK_SECONDS)
        alices.break_off("down", MIDDLE, times=2)
        bobs.break_off("up", MIDDLE)
        joins = [
            processes.join(homes.site(name).root, line.port)
            for name, line in (("alice", alices), ("bob", bobs))
        ]
        served = server.finish()
        assert [join.finish().code for join in joins] == [0, 0]
        assert (alices.broken, bobs.broken) == (2, 1)
    assert served.code == 0, served.said
    assert (served.result["rounds"][0]["sites"], served.result["rounds"][0]["dropped"]) == (
        ["alice", "bob"],
        [],
    )
    assert_whole(homes, "alice", "bob")


def test_a_line_that_is_cut_in_training_and_healed_costs_nothing(
    homes: Homes, processes: Processes
) -> None:
    server, port = processes.serve(homes.coordinator, *ECGNET, "--rounds", "2")
    with faulty_line(port) as line:
        alice, bob = (
            processes.join(homes.site("alice").root, line.port),
            processes.join(homes.site("bob").root, port),
        )
        line.hold_within("down", MIDDLE)
        line.wait_until_broken()
        line.cut()
        alice.wait_for(Event.RETRYING, reason="not-reached")
        line.heal()
        served = server.finish()
        assert [join.finish().code for join in (alice, bob)] == [0, 0]
    assert served.code == 0, served.said
    assert [(each["sites"], each["dropped"]) for each in served.result["rounds"]] == [
        (["alice", "bob"], [])
    ] * 2
    assert_whole(homes, "alice", "bob")
