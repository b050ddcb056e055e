"""Killed at any moment, the coordinator goes on after its last finished round."""

import json

import pytest
from federation_homes import Homes
from node_processes import Processes, told

from ecgfl_cli.logs import Event

pytestmark = pytest.mark.slow


def test_killed_coordinator_continues_after_the_last_round(
    homes: Homes, processes: Processes
) -> None:
    plan = ("--rounds", "4", "--min-sites", "2")
    server, port = processes.serve(homes.coordinator, *plan)
    joins = [
        processes.join(homes.site(name).root, port, max_wait="6s") for name in ("alice", "bob")
    ]
    server.wait_for(Event.ROUND_FINISHED, round=1)
    server.kill()
    for join in joins:
        join.finish().refused(4)
    before = [entry.manifest for entry in homes.registry("coordinator").entries()]
    done = before[-1].round
    assert 1 <= done < 4
    assert before[-1].sequence == done + 1

    server, port = processes.serve(homes.coordinator, *plan)
    server.wait_for(Event.RUN_RESUMED, round=done)
    joins = [processes.join(homes.site(name).root, port) for name in ("alice", "bob")]
    for join in joins:
        ended = join.finish()
        assert ended.code == 0, ended.said
    served = server.finish()
    assert served.code == 0, served.said

    after = [entry.manifest for entry in homes.registry("coordinator").entries()]
    assert after[: len(before)] == before
    assert [model.round for model in after] == [0, 1, 2, 3, 4]
    assert [model.sequence for model in after] == [1, 2, 3, 4, 5]
    assert {model.run for model in after} == {served.result["run"]}
    assert [each["round"] for each in served.result["rounds"]] == list(range(done + 1, 5))
    report = json.loads((homes.coordinator_home.reports / f"{after[-1].run}.json").read_text())
    assert [each["version"] for each in report["rounds"]] == [model.version for model in after[1:]]
    assert (report["starts"], report["outcome"]) == (2, "finished")
    for name in ("alice", "bob"):
        assert homes.registry(name).current() == after[-1].version == served.result["model"]
        assert told(homes.site(name).root, "model", "verify").code == 0
        assert told(homes.site(name).root, "audit", "verify").code == 0


def test_a_coordinator_killed_while_it_waits_begins_no_second_run(
    homes: Homes, processes: Processes
) -> None:
    for _ in range(2):
        server, _ = processes.serve(homes.coordinator, "--rounds", "4")
        server.wait_for(Event.WAITING_FOR_SITES)
        server.kill()
    assert [entry.manifest.sequence for entry in homes.registry("coordinator").entries()] == [1]


def test_a_finished_run_is_followed_by_a_new_one_from_its_model(
    homes: Homes, processes: Processes
) -> None:
    results = []
    for _ in range(2):
        server, port = processes.serve(homes.coordinator, "--rounds", "1")
        joins = [processes.join(homes.site(name).root, port) for name in ("alice", "bob")]
        assert [join.finish().code for join in joins] == [0, 0]
        results.append(server.finish().result)
    models = [entry.manifest for entry in homes.registry("coordinator").entries()]
    assert [(model.sequence, model.round) for model in models] == [(1, 0), (2, 1), (3, 0), (4, 1)]
    assert models[2].parent == models[1].version == results[0]["model"]
    assert models[2].weights_sha256 == models[1].weights_sha256
    assert results[0]["run"] != results[1]["run"]
    assert homes.registry("alice").current() == results[1]["model"]
