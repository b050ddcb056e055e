"""A site killed while it trains, uploads or receives a model loses the round, and comes back."""

import pytest
from harmed_sites import KILLED, ROUNDS, HarmedRun
from node_processes import told

from ecgfl_cli.logs import Event
from ecgfl_cli.models.model_files import MAKING

pytestmark = pytest.mark.slow


def answers(run: HarmedRun, name: str) -> list[tuple[str, str | None]]:
    """What the log tells besides the requests that had arrived, perhaps just before the kill."""
    return [
        (each["event"], each.get("kind")) for each in run.events[name] if each["event"] != "request"
    ]


def test_the_run_of_the_others_goes_on(harmed_run: HarmedRun) -> None:
    assert harmed_run.served.code == 0, harmed_run.served.said
    assert [each["round"] for each in harmed_run.served.result["rounds"]] == list(
        range(1, ROUNDS + 1)
    )
    assert all(
        {"alice", "bob"} <= set(each["sites"]) for each in harmed_run.served.result["rounds"]
    )
    assert [harmed_run.joined[name].code for name in ("alice", "bob")] == [0, 0]


def test_killed_in_training_it_sent_nothing_and_its_round_is_lost(harmed_run: HarmedRun) -> None:
    assert answers(harmed_run, "carol") == []
    assert harmed_run.left["carol"] == {}
    assert "carol" not in harmed_run.round(2)["sites"]
    assert "carol: no answer" in harmed_run.round(2)["dropped"]


def test_killed_in_the_upload_half_a_reply_enters_no_model(harmed_run: HarmedRun) -> None:
    assert answers(harmed_run, "dave") == [("send", "train")]
    assert harmed_run.left["dave"] == {}
    assert "dave" not in harmed_run.round(2)["sites"]
    assert [reply for reply in harmed_run.round(2)["dropped_replies"] if reply["site"] == "dave"]


def test_killed_while_it_is_sent_the_model_it_keeps_nothing_of_it(harmed_run: HarmedRun) -> None:
    assert "erin" in harmed_run.round(2)["sites"], "what it had trained before is in the model"
    assert answers(harmed_run, "erin") == [("send", "train")]
    assert harmed_run.left["erin"] == {}


@pytest.mark.parametrize("name", KILLED)
def test_started_again_it_takes_part(harmed_run: HarmedRun, name: str) -> None:
    ended, home = harmed_run.joined[name], harmed_run.homes.site(name)
    assert ended.code == 0, ended.said
    assert name in harmed_run.round(ROUNDS)["sites"]
    assert harmed_run.homes.registry(name).current() == harmed_run.served.result["model"]
    assert told(home.root, "audit", "verify").code == 0
    assert told(home.root, "model", "verify").code == 0
    assert list(home.models.glob(f"{MAKING}*")) == []


def test_started_again_at_once_it_waits_for_its_last_sessions_end(harmed_run: HarmedRun) -> None:
    events = harmed_run.joined["erin"].events
    (waits,) = [
        number for number, entry in enumerate(events) if entry.get("reason") == "last-session"
    ]
    assert [entry for entry in events[waits:] if entry["event"] == Event.CONNECTED]
