"""A site sends the weights, the counts and the permitted figures, and writes this down first."""

import json
from typing import Any

import pytest
from federation_homes import SITES
from node_processes import told
from shared_runs import Finished

from ecgfl_cli.site.audit import without_finished_intents

TRAIN = {"num-examples", "pvcs", "loss"}
EVALUATE = {
    "num-examples",
    "pvcs",
    "true_positives",
    "false_positives",
    "loss",
    "others_by_logit",
    "pvcs_by_logit",
}
UNDEFINED_SOMETIMES = {"sensitivity", "precision"}
WEIGHTS_BYTES = 4 * 44_850


def log(finished: Finished, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in finished.homes.site(name).audit.read_text().splitlines()]


def sent(finished: Finished, name: str) -> list[dict[str, Any]]:
    return [entry for entry in log(finished, name) if entry["event"] == "send"]


@pytest.mark.parametrize("name", SITES)
def test_the_audit_log_verifies(finished: Finished, name: str) -> None:
    ended = told(finished.homes.site(name).root, "audit", "verify")
    assert ended.code == 0, ended.said
    assert ended.result["lines"] == len(log(finished, name))


@pytest.mark.parametrize("name", SITES)
def test_each_message_that_left_has_its_line(finished: Finished, name: str) -> None:
    lines = sent(finished, name)
    assert [line["kind"] for line in lines] == ["train", "evaluate"] * 2
    assert {line["run"] for line in lines} == {finished.served.result["run"]}
    for line in lines:
        assert isinstance(line["bytes"], int)
        assert len(line["sha256"]) == 64
        int(line["sha256"], 16)


@pytest.mark.parametrize("name", SITES)
def test_sizes_are_those_of_a_weight_vector_and_a_few_numbers(
    finished: Finished, name: str
) -> None:
    for line in sent(finished, name):
        extra = line["bytes"] - (WEIGHTS_BYTES if line["kind"] == "train" else 0)
        assert 0 < extra < 2048


@pytest.mark.parametrize("name", SITES)
def test_the_metrics_are_the_whitelisted_ones(finished: Finished, name: str) -> None:
    for line in sent(finished, name):
        assert {
            name: set(record) for name, record in line["metrics"].items() if name != "metrics"
        } == {"audit": {"lines", "hash"}}
        names = set(line["metrics"]["metrics"])
        if line["kind"] == "train":
            assert names == TRAIN
        else:
            assert names >= EVALUATE
            assert names - EVALUATE - {"verdict"} <= UNDEFINED_SOMETIMES
    told = [
        "verdict" in line["metrics"]["metrics"]
        for line in sent(finished, name)
        if line["kind"] == "evaluate"
    ]
    assert told == [False, True], "of the run's last model only"


@pytest.mark.parametrize("name", SITES)
def test_the_log_tells_the_whole_run_in_order(finished: Finished, name: str) -> None:
    events = [entry["event"] for entry in without_finished_intents(log(finished, name))]
    run = events[events.index("join") :]
    training, measuring = ["request", "send"], ["request", "model-received", "send"]
    last = ["request", "model-received", "model-promoted", "send"]
    begin = ["join", "signing-keys-changed"]
    assert run == [*begin, *training, *measuring, *training, *last, "leave"]


def test_the_coordinator_learned_no_more_than_the_sites_said(finished: Finished) -> None:
    trained = [
        line["metrics"]["metrics"]
        for name in SITES
        for line in sent(finished, name)
        if line["kind"] == "train"
    ]
    assert sum(each["num-examples"] for each in trained) == sum(
        each["examples"] for each in finished.served.result["rounds"]
    )


@pytest.mark.parametrize("name", ["coordinator", *SITES])
def test_no_name_of_a_recording_appears_on_either_side(finished: Finished, name: str) -> None:
    for path in (finished.homes.folder / name).rglob("*"):
        if path.is_file():
            assert b"synthetic-" not in path.read_bytes(), path
