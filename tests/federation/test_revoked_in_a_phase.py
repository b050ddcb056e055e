"""A site that is revoked during a phase is disconnected at once; the others do not wait."""

import json
import signal
import sys
import time

import pytest
from federation_homes import Homes, ecgfl
from node_processes import Processes

from ecgfl_cli.federation.coordinator.runs.live_state import load_state
from ecgfl_cli.federation.coordinator.runs.run_record import Phase
from ecgfl_cli.logs import Event

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no process can be held there"),
]


def test_a_revoked_site_holds_nobody_up(homes: Homes, processes: Processes) -> None:
    plan = ("--rounds", "2", "--min-sites", "2", "--arch", "ecgnet", "--phase-timeout", "10m")
    server, port = processes.serve(homes.coordinator, *plan)
    alice, bob = (processes.join(homes.site(name).root, port) for name in ("alice", "bob"))
    server.wait_for(Event.ROUND_STARTED, round=1)
    alice.send(signal.SIGSTOP)  # until Carol is there, who is asked to measure the round's model
    carol = processes.join(homes.site("carol").root, port)
    server.wait_for(Event.SITE_CONNECTED, site="carol")
    carol.send(signal.SIGSTOP)
    alice.send(signal.SIGCONT)
    _wait_until_measuring(homes)
    ecgfl(homes.coordinator, "coordinator", "revoke", "carol")
    server.wait_for(Event.SITE_REVOKED, 10, site="carol")
    served = server.finish(45)
    assert served.code == 0, served.said
    assert [join.finish().code for join in (alice, bob)] == [0, 0]
    assert [each["sites"] for each in served.result["rounds"]] == [["alice", "bob"]] * 2
    dropped = served.result["rounds"][0]["dropped_replies"]
    assert [reply for reply in dropped if reply["site"] == "carol"]
    report = json.loads(next(homes.coordinator_home.reports.glob("*.json")).read_text())
    assert report["outcome"] == "finished"


def _wait_until_measuring(homes: Homes) -> None:
    deadline = time.monotonic() + 30
    while (
        not (state := load_state(homes.coordinator_home.state))
        or state.phase_code is not Phase.MEASURING
    ):
        assert time.monotonic() < deadline, state
        time.sleep(0.05)
