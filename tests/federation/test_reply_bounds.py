"""A reply that keeps to the schema but cannot be true, too large an update or too many beats, is left out and named."""

import numpy as np
import pytest
from fake_rounds import Rounds
from federation_homes import Homes

from ecgfl_cli.federation.coordinator.checked_rounds import RoundFailed
from ecgfl_cli.federation.coordinator.reply_checks import LARGEST_GROWTH

RATIO = 10.0


def in_a_round(homes: Homes, changes: tuple[float, ...], **options: object) -> Rounds:
    """A round in which sites 1, 2, ... changed every weight by so much."""
    rounds = Rounds(homes, **{"max_update_ratio": RATIO, **options})  # type: ignore[arg-type]
    before = rounds.weights
    rounds.begin()
    rounds.aggregate(*(rounds.good(node, before + np.float32(change)) for node, change in enumerate(changes, start=1)))
    return rounds


@pytest.mark.parametrize("factor", [10.5, -10.5, 1e6, 1e38])
def test_an_update_far_beyond_the_median_is_left_out(homes: Homes, factor: float) -> None:
    rounds = in_a_round(homes, (0.01, 0.01 * factor, 0.01))
    assert rounds.last.sites == ["alice", "carol"]
    (line,) = rounds.last.dropped
    assert line.startswith("bob: an update of norm ")
    assert "more than 10 times the median of the sites', 4.3" in line
    assert f"reply dropped: {line}" in rounds.said


def test_sites_of_unlike_size_are_all_taken(homes: Homes) -> None:
    rounds = in_a_round(homes, (0.001, 0.01, 0.095))
    assert rounds.last.sites == ["alice", "bob", "carol"]
    assert rounds.last.dropped == []


def test_a_small_update_is_no_reason_to_leave_one_out(homes: Homes) -> None:
    assert in_a_round(homes, (0.0, 0.01, 0.01)).last.sites == ["alice", "bob", "carol"]


def test_two_sites_are_measured_against_the_global_weights(homes: Homes) -> None:
    """Neither can be shut out by the other's small update, nor can a huge one get in."""
    assert in_a_round(homes, (0.0001, 0.01)).last.sites == ["alice", "bob"]


def test_a_huge_update_of_one_of_two_sites_fails_the_round_and_not_the_model(homes: Homes) -> None:
    rounds = Rounds(homes, max_update_ratio=RATIO)
    before, model = rounds.weights, rounds.checkpoints.latest
    rounds.begin()
    with pytest.raises(RoundFailed, match="1 usable"):
        rounds.aggregate(rounds.good(1, before), rounds.good(2, 1e6))
    assert rounds.checkpoints.latest is model
    silent, line = rounds.record.report.left_out
    assert silent == "carol: no answer"
    assert line.startswith("bob: an update of norm ")
    assert "the global weights' own norm" in line


def test_sites_that_change_nothing_do_not_shut_out_one_that_does(homes: Homes) -> None:
    assert in_a_round(homes, (0.0, 0.0, 0.001)).last.sites == ["alice", "bob", "carol"]


def test_the_bound_can_be_chosen(homes: Homes) -> None:
    assert in_a_round(homes, (0.01, 0.03, 0.01), max_update_ratio=2.0).last.sites == ["alice", "carol"]


def counted(rounds: Rounds, *examples: int) -> list[str]:
    """The sites that are taken in a round in which they speak of so many examples."""
    rounds.begin()
    rounds.aggregate(*(rounds.good(node, rounds.weights, count) for node, count in enumerate(examples, start=1)))
    return rounds.last.sites


def test_more_beats_than_any_site_has_are_left_out(homes: Homes) -> None:
    rounds = Rounds(homes)
    assert counted(rounds, 10_000_000, 10_000_001, 100) == ["alice", "carol"]
    assert rounds.last.dropped == ["bob: 10000001 training beats, declared were at most 10000000"]


def test_a_site_is_held_to_what_the_plan_says_of_it(homes: Homes) -> None:
    rounds = Rounds(homes, sites={"alice": 500, "bob": 500, "carol": None})
    assert counted(rounds, 500, 501, 9000) == ["alice", "carol"]
    assert "bob: 501 training beats, declared were at most 500" in rounds.last.dropped


def test_a_count_that_jumps_within_a_run_is_left_out(homes: Homes) -> None:
    rounds = Rounds(homes)
    assert counted(rounds, 100, 100, 100) == ["alice", "bob", "carol"]
    assert counted(rounds, int(100 * LARGEST_GROWTH), 201, 1) == ["alice", "carol"], "new recordings may come in, or go"
    assert rounds.last.dropped == ["bob: 201 training beats, more than 2 times the 100 it began the run with"]
    assert counted(rounds, 100, 150, 100) == ["alice", "bob", "carol"], "it is asked again in the next round"


def test_small_steps_do_not_add_up_to_a_jump(homes: Homes) -> None:
    rounds = Rounds(homes)
    counted(rounds, 100, 100, 100)
    counted(rounds, 100, 190, 100)
    assert counted(rounds, 100, 361, 100) == ["alice", "carol"]


def test_a_restart_does_not_forget_what_a_site_said_first(homes: Homes) -> None:
    counted(Rounds(homes), 100, 100, 100)
    assert counted(Rounds(homes), 100, 201, 100) == ["alice", "carol"]


def test_the_reply_of_a_site_that_was_revoked_meanwhile_is_left_out(homes: Homes) -> None:
    rounds = Rounds(homes)
    rounds.begin()
    rounds.sites.revoked = {2}
    rounds.aggregate(rounds.good(1, 1.0), rounds.good(2, 9.0), rounds.good(3, 1.0))
    assert rounds.last.sites == ["alice", "carol"]
    assert rounds.last.dropped == ["bob: its key was revoked meanwhile"]
