"""A site whose policy forbids the run refuses with a code, and the others continue."""

import json

import pytest
from federation_homes import SITES, Homes, set_policy
from memory_runs import run_in_memory
from node_processes import Processes

from ecgfl_cli.errors import PolicyRefused

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "policy",
    ['architectures = ["beatnet"]', "max_local_epochs = 1", "max_learning_rate = 0.0001"],
    ids=["arch", "epochs", "rate"],
)
def test_the_run_goes_on_without_the_site_that_refuses(homes: Homes, policy: str) -> None:
    carol = homes.site("carol")
    set_policy(carol, policy)
    run = run_in_memory(homes, SITES, late={"carol": 2}, rounds=3, architecture="ecgnet")

    refusal = run.joined["carol"].problem
    assert isinstance(refusal, PolicyRefused)
    assert "policy" in str(refusal)
    assert [run.joined[name].problem for name in ("alice", "bob")] == [None, None]
    assert run.problem is None

    assert [each.round for each in run.rounds] == [1, 2, 3]
    assert all(set(each.sites) == {"alice", "bob"} for each in run.rounds)
    dropped = [str(reply) for result in run.rounds for reply in result.dropped]
    assert dropped == ["carol: it refused: its policy forbids it (code 9005)"]
    assert carol.root.name not in json.dumps([line.replace("carol:", "") for line in dropped])
    entries = [json.loads(line) for line in carol.audit.read_text().splitlines()]
    assert [entry["code"] for entry in entries if entry["event"] == "refused"] == [9005]
    assert [
        entry for entry in entries if entry["event"] == "send" and entry["kind"] == "train"
    ] == []
    assert homes.registry("carol").current() is None


def test_too_few_sites_that_agree_end_the_run(homes: Homes, processes: Processes) -> None:
    for name in ("alice", "bob"):
        set_policy(homes.site(name), "max_local_epochs = 1")
    server, port = processes.serve(homes.coordinator, "--rounds", "2", "--min-sites", "2")
    joins = [processes.join(homes.site(name).root, port) for name in ("alice", "bob")]
    for join in joins:
        join.finish().refused(5)
    told = server.finish().refused(4)
    assert "0 usable replies" in told
    assert "alice: it refused: its policy forbids it" in told
    (entry,) = homes.registry("coordinator").entries()
    assert entry.manifest.round == 0


def test_the_others_of_a_run_that_fails_learn_that_it_is_over(
    homes: Homes, processes: Processes
) -> None:
    set_policy(homes.site("carol"), "max_local_epochs = 1")
    server, port = processes.serve(homes.coordinator, "--rounds", "2", "--min-sites", "3")
    joins = {name: processes.join(homes.site(name).root, port) for name in SITES}
    assert "carol: it refused" in server.finish().refused(4)
    joins["carol"].finish().refused(5)
    for name in ("alice", "bob"):
        ended = joins[name].finish()
        assert (ended.code, ended.result["participated"], ended.result["version"]) == (
            0,
            True,
            None,
        ), ended.said
        assert f"{name}: the run is over" in ended.said
