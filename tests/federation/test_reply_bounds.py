"""A reply that fits the schema but cannot be true is left out and named."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_rounds import NODES, Rounds
from federation_homes import Homes
from flwr.app import ArrayRecord, MetricRecord, RecordDict

from ecgfl_cli.federation.coordinator.rounds.declared_beats import LARGEST_GROWTH
from ecgfl_cli.federation.coordinator.rounds.replies import RoundFailed
from ecgfl_cli.federation.flower.codec import record_of
from ecgfl_cli.models.calibration import COUNTS

RATIO = 10.0


def in_a_round(homes: Homes, changes: tuple[float, ...], **options: object) -> Rounds:
    """A round in which sites 1, 2, ... changed every weight by so much."""
    rounds = Rounds(homes, **{"max_update_ratio": RATIO, **options})  # type: ignore[arg-type]
    before = rounds.weights
    rounds.begin()
    rounds.aggregate(
        *(
            rounds.good(node, before + np.float32(change))
            for node, change in enumerate(changes, start=1)
        )
    )
    return rounds


@pytest.mark.parametrize("factor", [10.5, -10.5, 1e6, 1e38])
def test_an_update_far_beyond_the_median_is_left_out(homes: Homes, factor: float) -> None:
    rounds = in_a_round(homes, (0.01, 0.01 * factor, 0.01))
    assert rounds.last.sites == ["alice", "carol"]
    (line,) = rounds.dropped
    assert line.startswith("bob: an update of norm ")
    assert "more than 10 times the median of the sites', 4.3" in line
    assert f"reply dropped: {line}" in rounds.said


def test_a_reason_is_short_and_printable(homes: Homes) -> None:
    rounds = Rounds(homes)
    rounds.begin()
    names = ("\x01" * 100_000, "a\n\u202eb" * 50_000)
    records = [record_of(rounds.good(node, 1.0).content) for node in NODES]
    records[0]["metrics"] = MetricRecord({names[0]: 1})
    records[1][names[1]] = MetricRecord({"x": 1})
    records[2]["arrays"] = ArrayRecord({names[0]: records[2].array_records["arrays"]["flat"]})
    replies = [rounds.answer(node, record) for node, record in zip(NODES, records, strict=True)]
    with pytest.raises(RoundFailed) as failed:
        rounds.aggregate(*replies)
    lines = rounds.left_out
    assert [line.split(":")[0] for line in lines] == list(NODES.values())
    for line in (*lines, *rounds.said, str(failed.value)):
        assert line.isprintable()
        assert len(line) < 1000
    assert len(rounds.record.report.to_bytes()) < 10_000


def test_sites_of_unlike_size_are_all_taken(homes: Homes) -> None:
    rounds = in_a_round(homes, (0.001, 0.01, 0.095))
    assert rounds.last.sites == ["alice", "bob", "carol"]
    assert rounds.dropped == []


def test_a_small_update_is_no_reason_to_leave_one_out(homes: Homes) -> None:
    assert in_a_round(homes, (0.0, 0.01, 0.01)).last.sites == ["alice", "bob", "carol"]


def test_two_sites_are_measured_against_the_global_weights(homes: Homes) -> None:
    """Neither can be shut out by the other's small update, nor can a huge one get in."""
    assert in_a_round(homes, (0.0001, 0.01)).last.sites == ["alice", "bob"]


def test_huge_update_of_one_of_two_sites_fails_the_round(homes: Homes) -> None:
    rounds = Rounds(homes, max_update_ratio=RATIO)
    before, model = rounds.weights, rounds.checkpoints.latest
    rounds.begin()
    with pytest.raises(RoundFailed, match="1 usable"):
        rounds.aggregate(rounds.good(1, before), rounds.good(2, 1e6))
    assert rounds.checkpoints.latest is model
    silent, line = rounds.left_out
    assert silent == "carol: no answer"
    assert line.startswith("bob: an update of norm ")
    assert "the global weights' own norm" in line


def test_sites_that_change_nothing_do_not_shut_out_one_that_does(homes: Homes) -> None:
    assert in_a_round(homes, (0.0, 0.0, 0.001)).last.sites == ["alice", "bob", "carol"]


def test_the_bound_can_be_chosen(homes: Homes) -> None:
    assert in_a_round(homes, (0.01, 0.03, 0.01), max_update_ratio=2.0).last.sites == [
        "alice",
        "carol",
    ]


def counted(rounds: Rounds, *examples: int) -> list[str]:
    """The sites that are taken in a round in which they speak of so many examples."""
    rounds.begin()
    rounds.aggregate(
        *(rounds.good(node, rounds.weights, count) for node, count in enumerate(examples, start=1))
    )
    return rounds.last.sites


def test_more_beats_than_any_site_has_are_left_out(homes: Homes) -> None:
    rounds = Rounds(homes)
    assert counted(rounds, 10_000_000, 10_000_001, 100) == ["alice", "carol"]
    assert rounds.dropped == ["bob: 10000001 training beats, declared were at most 10000000"]


def test_a_site_is_held_to_what_the_plan_says_of_it(homes: Homes) -> None:
    rounds = Rounds(homes, sites={"alice": 500, "bob": 500, "carol": None})
    assert counted(rounds, 500, 501, 9000) == ["alice", "carol"]
    assert "bob: 501 training beats, declared were at most 500" in rounds.dropped


def test_a_count_that_jumps_within_a_run_is_left_out(homes: Homes) -> None:
    rounds = Rounds(homes)
    assert counted(rounds, 100, 100, 100) == ["alice", "bob", "carol"]
    assert counted(rounds, int(100 * LARGEST_GROWTH), 201, 1) == ["alice", "carol"], (
        "new recordings may come in, or go"
    )
    assert rounds.dropped == [
        "bob: 201 training beats, more than 2 times the 100 it began the run with"
    ]
    assert counted(rounds, 100, 150, 100) == ["alice", "bob", "carol"], (
        "it is asked again in the next round"
    )


def test_small_steps_do_not_add_up_to_a_jump(homes: Homes) -> None:
    rounds = Rounds(homes)
    counted(rounds, 100, 100, 100)
    counted(rounds, 100, 190, 100)
    assert counted(rounds, 100, 361, 100) == ["alice", "carol"]


def test_a_restart_does_not_forget_what_a_site_said_first(homes: Homes) -> None:
    counted(Rounds(homes), 100, 100, 100)
    assert counted(Rounds(homes), 100, 201, 100) == ["alice", "carol"]


def test_reply_of_a_site_revoked_meanwhile_is_left_out(homes: Homes) -> None:
    rounds = Rounds(homes)
    rounds.begin()
    rounds.sites.revoked = {2}
    rounds.aggregate(rounds.good(1, 1.0), rounds.good(2, 9.0), rounds.good(3, 1.0))
    assert rounds.last.sites == ["alice", "carol"]
    assert rounds.dropped == ["bob: its key was revoked meanwhile"]


def test_more_pvcs_than_beats_are_left_out(homes: Homes) -> None:
    rounds = Rounds(homes)
    rounds.begin()
    figures = {"num-examples": 100, "pvcs": 101, "loss": 0.5}
    content = replace(rounds.good(2, rounds.weights).content, figures=figures)
    rounds.aggregate(
        rounds.good(1, rounds.weights), rounds.answer(2, content), rounds.good(3, rounds.weights)
    )
    assert rounds.last.sites == ["alice", "carol"]
    (line,) = rounds.dropped
    assert line.startswith("bob: ")
    assert "pvcs 101 is more than num-examples, 100" in line


MEASURED: dict[str, Any] = {
    "num-examples": 100,
    "pvcs": 10,
    "true_positives": 8,
    "false_positives": 2,
    "loss": 0.1,
    "sensitivity": 0.8,
    "precision": 0.8,
    "others_by_logit": [90, *[0] * (COUNTS - 1)],
    "pvcs_by_logit": [*[0] * (COUNTS - 1), 10],
}


def measured(homes: Homes, *replies: dict[str, Any]) -> Rounds:
    """A round in which sites 1, 2, ... report these figures in place of those of `MEASURED`."""
    rounds = Rounds(homes, nodes=dict(list(NODES.items())[: len(replies)]))
    rounds.begin()
    rounds.aggregate(*(rounds.good(node, rounds.weights) for node in rounds.requests))
    measure(rounds, *replies)
    return rounds


def measure(rounds: Rounds, *replies: dict[str, Any]) -> None:
    rounds.begin_measuring()
    rounds.aggregate_measured(
        *(
            rounds.answer(node, RecordDict({"metrics": MetricRecord({**MEASURED, **each})}))
            for node, each in enumerate(replies, start=1)
        )
    )


CANNOT_BE: dict[str, tuple[dict[str, Any], str]] = {
    "pvcs": ({"pvcs": 101, "others_by_logit": [0] * COUNTS}, "counts by logit are not those"),
    "pvcs-alone": (
        {"pvcs": 101, "pvcs_by_logit": None, "others_by_logit": None},
        "pvcs 101 is more than num-examples, 100",
    ),
    "found": (
        {"true_positives": 11, "sensitivity": None, "precision": None},
        "true_positives 11 is more than pvcs, 10",
    ),
    "found-without-pvcs": (
        {
            "pvcs": None,
            "pvcs_by_logit": None,
            "true_positives": 11,
            "sensitivity": None,
            "precision": None,
        },
        "true_positives 11 is more than pvcs, 10",
    ),
    "false": (
        {"false_positives": 91, "precision": None},
        "false_positives 91 is more than the beats that are no PVC, 90",
    ),
    "false-without-pvcs": (
        {
            "pvcs": None,
            "pvcs_by_logit": None,
            "others_by_logit": None,
            "false_positives": 101,
            "precision": None,
        },
        "false_positives 101 is more than",
    ),
    "others": (
        {"pvcs": None, "pvcs_by_logit": None, "others_by_logit": [101, *[0] * (COUNTS - 1)]},
        "others_by_logit 101",
    ),
    "sensitivity": ({"sensitivity": 1.0}, "sensitivity 1 is not that of the counts, 8 of 10"),
    "precision": ({"precision": 1.0}, "precision 1 is not that of the counts, 8 of 10"),
    "sensitivity-of-nothing": (
        {
            **{
                "pvcs": 0,
                "true_positives": 0,
                "pvcs_by_logit": [0] * COUNTS,
                "others_by_logit": [100, *[0] * (COUNTS - 1)],
            },
            **{"sensitivity": 1.0, "precision": None},
        },
        "sensitivity 1 is not that of the counts, 0 of 0",
    ),
    "beats": (
        {"num-examples": 10_000_001, "pvcs_by_logit": None, "others_by_logit": None},
        "10000001 held-out beats, declared were at most 10000000",
    ),
}


@pytest.mark.parametrize("name", CANNOT_BE)
def test_figures_that_contradict_each_other_are_left_out(homes: Homes, name: str) -> None:
    wrong, reason = CANNOT_BE[name]
    rounds = Rounds(homes)
    rounds.begin()
    rounds.aggregate(*(rounds.good(node, rounds.weights) for node in rounds.requests))
    rounds.begin_measuring()
    bad = {key: value for key, value in {**MEASURED, **wrong}.items() if value is not None}
    contents = (MEASURED, bad, MEASURED)
    rounds.aggregate_measured(
        *(
            rounds.answer(node, RecordDict({"metrics": MetricRecord(content)}))
            for node, content in enumerate(contents, start=1)
        )
    )
    (line,) = rounds.dropped
    assert line.startswith("bob: ")
    assert reason in line
    assert rounds.last.metrics is not None
    assert (rounds.last.metrics.beats, rounds.last.metrics.sensitivity) == (200, 0.8)
    assert rounds.last.by_site["bob"].beats is None


def test_held_out_beats_that_jump_within_a_run_are_left_out(homes: Homes) -> None:
    more = {
        **{"num-examples": 201, "pvcs": 10, "others_by_logit": [191, *[0] * (COUNTS - 1)]},
        **{"pvcs_by_logit": [*[0] * (COUNTS - 1), 10]},
    }
    rounds = measured(homes, {}, {}, {})
    for running in (rounds, None):
        current = running or Rounds(homes)  # goes on after a kill
        current.begin()
        current.aggregate(*(current.good(node, current.weights) for node in current.requests))
        measure(current, {}, more, {})
        assert current.dropped == [
            "bob: 201 held-out beats, more than 2 times the 100 it began the run with"
        ]


def test_a_site_may_get_its_first_held_out_beats_later(homes: Homes) -> None:
    none = {
        **{"num-examples": 0, "pvcs": 0, "true_positives": 0, "false_positives": 0},
        **{"others_by_logit": [0] * COUNTS, "pvcs_by_logit": [0] * COUNTS},
    }
    empty = {
        key: value
        for key, value in {**MEASURED, **none}.items()
        if key not in ("sensitivity", "precision")
    }
    rounds = Rounds(homes)
    for reply in (empty, MEASURED):
        rounds.begin()
        rounds.aggregate(*(rounds.good(node, rounds.weights) for node in rounds.requests))
        rounds.begin_measuring()
        rounds.aggregate_measured(
            *(
                rounds.answer(node, RecordDict({"metrics": MetricRecord(each)}))
                for node, each in ((1, MEASURED), (2, reply), (3, MEASURED))
            )
        )
        assert rounds.dropped == []


FOUR = {**NODES, 4: "mallory"}


@pytest.mark.parametrize(("ratio", "counts_as"), [(3.0, 450), (1.0, 150)])
def test_a_claimed_count_is_capped(homes: Homes, ratio: float, counts_as: int) -> None:
    """The honest sites change each weight by 0, the other one by 1."""
    rounds = Rounds(homes, nodes=FOUR, max_weight_ratio=ratio)
    before = rounds.weights
    rounds.begin()
    counts = (100, 100, 200, 10_000_000)
    rounds.aggregate(
        *(
            rounds.good(node, before + (node == 4), count)
            for node, count in zip(FOUR, counts, strict=True)
        )
    )
    total = sum(min(count, counts_as) for count in counts)
    np.testing.assert_allclose(rounds.weights - before, counts_as / total, atol=1e-6)
    assert rounds.last.sites == [*NODES.values(), "mallory"], (
        "a large site is never refused for its size"
    )
    assert rounds.last.examples_by_site["mallory"] == 10_000_000
    assert rounds.last.examples == rounds.checkpoints.latest.manifest.examples == total
    mallory = rounds.last.by_site["mallory"]
    assert (mallory.train_beats, mallory.counted_beats, mallory.is_capped) == (
        10_000_000,
        counts_as,
        True,
    )
    assert mallory.weight == pytest.approx(counts_as / total)
    assert [
        line
        for line in rounds.said
        if line.startswith(f"mallory: 10000000 training beats count as {counts_as}, ")
    ]


def test_of_two_sites_the_larger_counts_three_times_the_smaller(homes: Homes) -> None:
    rounds = Rounds(homes, nodes={1: "alice", 2: "mallory"})
    before = rounds.weights
    rounds.begin()
    rounds.aggregate(rounds.good(1, before, 100), rounds.good(2, before + 1, 10_000_000))
    np.testing.assert_allclose(rounds.weights - before, 0.75, atol=1e-6)


def test_krum_shows_whose_weights_the_model_has(homes: Homes) -> None:
    rounds = Rounds(homes, "krum", nodes={**FOUR, 5: "erin"}, min_sites=5)
    before = rounds.weights
    rounds.begin()
    changes = {1: 0.0, 2: 0.1, 3: 0.12, 4: 0.5, 5: 9.0}
    rounds.aggregate(
        *(rounds.good(node, before + np.float32(change)) for node, change in changes.items())
    )
    assert {name: site.weight for name, site in rounds.last.by_site.items()} == {
        **dict.fromkeys(("alice", "carol", "erin", "mallory"), 0.0),
        "bob": 1.0,
    }
