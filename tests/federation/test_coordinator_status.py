"""`coordinator status` shows the run while it is served, after it, and after a kill."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fake_rounds import Rounds
from federation_homes import SITES, Homes
from node_processes import Processes, told
from shared_runs import Finished, Waiting

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.federation.coordinator.runs.live_state import SILENT_SECONDS, load_state
from ecgfl_cli.logs import Event

SERVE = ("coordinator", "serve", "--host", "127.0.0.1", "--port", "0")


def status(homes: Homes) -> dict[str, Any]:
    ended = told(homes.coordinator, "coordinator", "status")
    assert ended.code == 0, ended.said
    assert ended.result["schema"] == "ecgfl.coordinator-status/1"
    return ended.result


def test_before_the_first_run_there_is_nothing_to_show(homes: Homes) -> None:
    shown = status(homes)
    assert (shown["serving"], shown["run"]) == (False, None)
    assert shown["sites"] == [
        {"site": name, "connected": False, "last_contact": None} for name in SITES
    ]


def test_while_it_waits_status_says_for_what(waiting: Waiting) -> None:
    shown = status(waiting.homes)
    assert shown["serving"] is True
    assert shown["run"]["outcome"] == "running"
    assert (shown["run"]["round"], shown["run"]["rounds"]) == (0, 5)
    assert shown["run"]["phase"] == "waiting for sites"
    assert shown["run"]["address"] == f"127.0.0.1:{waiting.port}"


def test_a_site_is_shown_as_connected_and_then_as_gone(homes: Homes, processes: Processes) -> None:
    server, port = processes.serve(homes.coordinator, "--min-sites", "3")
    began = datetime.now(UTC).replace(microsecond=0)
    site = processes.join(homes.site("alice").root, port)
    server.wait_for(Event.SITE_CONNECTED, site="alice")
    alice = _until(homes, lambda sites: sites["alice"]["connected"])["alice"]
    heard = datetime.fromisoformat(alice["last_contact"])
    assert began <= heard <= datetime.now(UTC)
    site.kill()
    server.kill()
    state = load_state(homes.coordinator_home.state)
    assert state is not None
    old = (datetime.now(UTC) - timedelta(seconds=SILENT_SECONDS + 1)).isoformat()
    homes.coordinator_home.state.write_text(
        state.model_copy(update={"updated": old}).model_dump_json(by_alias=True)
    )
    shown = status(homes)
    assert shown["serving"] is False
    assert {each["site"]: each["connected"] for each in shown["sites"]} == dict.fromkeys(
        SITES, False
    )
    assert shown["sites"][0]["last_contact"] == alice["last_contact"], (
        "when it was last there is still known"
    )


def _until(
    homes: Homes, true: Callable[[dict[str, Any]], bool], seconds: float = 10.0
) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        sites = {each["site"]: each for each in status(homes)["sites"]}
        if true(sites):
            return sites
        assert time.monotonic() < deadline, sites
        time.sleep(0.1)


def test_after_a_run_status_says_how_it_ended(finished: Finished) -> None:
    shown = status(finished.homes)
    assert shown["serving"] is False
    assert (shown["run"]["run"], shown["run"]["outcome"]) == (
        finished.served.result["run"],
        "finished",
    )
    assert (shown["run"]["round"], shown["run"]["rounds"], shown["run"]["phase"]) == (2, 2, "ended")
    assert shown["rounds"] == finished.served.result["rounds"]
    assert all(each["last_contact"] for each in shown["sites"])


def test_after_an_error_status_says_why(homes: Homes) -> None:
    told(homes.coordinator, *SERVE, "--quorum-timeout", "200ms").refused(4)
    run = status(homes)["run"]
    assert run["outcome"] == "failed"
    assert "0 of at least 2 sites connected within 0.2 s" in run["problem"]


def test_a_site_that_was_revoked_is_shown_no_more(homes: Homes) -> None:
    told(homes.coordinator, *SERVE, "--quorum-timeout", "200ms").refused(4)
    told(homes.coordinator, "coordinator", "revoke", "bob")
    assert [each["site"] for each in status(homes)["sites"]] == ["alice", "carol"]


def test_a_broken_state_is_named_and_serve_writes_a_new_one(homes: Homes) -> None:
    path = homes.coordinator_home.state
    path.write_text(json.dumps({"schema": "ecgfl.coordinator-state/1", "run": 7}))
    assert str(path) in told(homes.coordinator, "coordinator", "status").refused(3)
    told(homes.coordinator, *SERVE, "--quorum-timeout", "200ms").refused(4)
    assert status(homes)["run"]["outcome"] == "failed"


def test_without_a_coordinator_there_is_no_status(homes: Homes) -> None:
    assert "coordinator init" in told(homes.site("alice").root, "coordinator", "status").refused(2)


@pytest.mark.parametrize(
    "acceptance",
    [
        {"accepted": True, "sites": [1]},
        {"accepted": True, "sites": {"alice": "x"}},
        {"accepted": True, "sites": {"alice": ["not-worse"]}},
        {"accepted": True, "rolled_back": {"a": 1}},
        {"accepted": "yes"},
        {"accepted": True, "code": 7},
        {"accepted": True, "\x01" * 100_000: 1, "sites": {"\x01" * 100_000: "x"}},
        {"sites": {}},
        [],
        7,
    ],
    ids=lambda each: str(each)[:40],
)
def test_a_broken_acceptance_is_named(homes: Homes, acceptance: object) -> None:
    Rounds(homes)
    (path,) = homes.coordinator_home.models.glob("*/manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "acceptance": acceptance}))
    ended = told(homes.coordinator, "coordinator", "status")
    assert ended.code == 0
    (warning,) = [line for line in ended.result["warnings"] if str(path) in line]
    assert "Restore this folder from your backup" in warning
    assert any("damaged" in line for line in ended.said)
    assert len(warning) < 2000
    assert ended.result["model"] is None
    with pytest.raises(ModelRejected, match="broken"):
        homes.registry("coordinator").entry(path.parent.name)
