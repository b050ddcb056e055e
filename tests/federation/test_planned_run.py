"""A run with federation.toml: only the named sites take part, and an interruption is reported."""

import json
import signal
import sys

import pytest
from federation_homes import Homes
from node_processes import Processes

from ecgfl_cli.logs import Event

pytestmark = pytest.mark.slow
PLAN = """\
[run]
rounds = 1
architecture = "ecgnet"
[sites.alice]
[sites.bob]
max_examples = 100000
"""


def test_only_the_sites_that_the_plan_names_take_part(homes: Homes, processes: Processes) -> None:
    homes.coordinator_home.plan.write_text(PLAN)
    server, port = processes.serve(homes.coordinator)
    carol = processes.join(homes.site("carol").root, port, max_wait="4s")
    server.wait_for(Event.SITE_CONNECTED, site="carol", takes_part=False)
    server.wait_for(Event.WAITING_FOR_SITES, connected=0)
    left_out = carol.finish()
    assert (left_out.code, left_out.result["participated"]) == (0, False)
    joins = [processes.join(homes.site(name).root, port) for name in ("alice", "bob")]
    carol = processes.join(homes.site("carol").root, port)
    assert [join.finish().code for join in joins] == [0, 0]
    served = server.finish()
    assert served.code == 0, served.said
    (only,) = served.result["rounds"]
    assert only["sites"] == ["alice", "bob"]
    assert only["dropped"] == []
    assert homes.registry("coordinator").entry(only["version"]).manifest.architecture == "ecgnet"


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
def test_a_run_that_is_ended_by_hand_is_reported_and_gone_on_with(
    homes: Homes, processes: Processes
) -> None:
    homes.coordinator_home.plan.write_text(PLAN)
    server, _ = processes.serve(homes.coordinator)
    server.wait_for(Event.WAITING_FOR_SITES)
    server.send(signal.SIGTERM)
    assert server.finish(20).code == 130
    (path,) = homes.coordinator_home.reports.glob("*.json")
    report = json.loads(path.read_text())
    assert (report["outcome"], report["problem"]) == (
        "interrupted",
        "interrupted; serve again to resume the run",
    )
    assert "serve again to resume the run" in path.with_suffix(".html").read_text()
    server, port = processes.serve(homes.coordinator)
    joins = [processes.join(homes.site(name).root, port) for name in ("alice", "bob")]
    assert [join.finish().code for join in joins] == [0, 0]
    assert server.finish().code == 0
    report = json.loads(path.read_text())
    assert (report["outcome"], report["starts"], len(report["rounds"])) == ("finished", 2, 1)
