import json

import numpy as np
import pytest
from scipy.stats import binomtest

from ecgfl_cli.evaluation import statistics
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.intervals import bootstrap, paired_bootstrap
from ecgfl_cli.evaluation.paired import PairedEvaluation
from ecgfl_cli.evaluation.report import STATISTICS, Evaluation


def record(found: int, missed: int, false: int = 0) -> Comparison:
    matrix = np.zeros((7, 7), dtype=np.int64)
    matrix[2, 2], matrix[2, 0], matrix[0, 2], matrix[0, 0] = found, missed, false, 500
    return Comparison(matrix, 1800.0)


A = [record(90, 10, 4), record(50, 0), record(200, 40, 20), record(10, 30), record(75, 5, 1)]
B = [record(80, 20, 4), record(49, 1), record(200, 40, 20), record(12, 28), record(60, 20, 3)]


def evaluation(comparisons: list[Comparison]) -> Evaluation:
    return Evaluation.of({str(place): comparison for place, comparison in enumerate(comparisons)})


def gross(comparisons: list[Comparison]) -> Comparison:
    return sum(comparisons, start=Comparison.empty())


@pytest.mark.parametrize(
    "name", ["veb_f1", "veb_sensitivity", "veb_ppv", "veb_false_positives_per_hour"]
)
def test_paired_interval_equals_a_plain_paired_bootstrap(name: str) -> None:
    draw, differences = np.random.default_rng(1), []
    for _ in range(4000):
        places = draw.integers(0, 5, 5)
        figures = [
            gross([side[place] for place in places]).value(STATISTICS[name]) for side in (A, B)
        ]
        assert figures[0] is not None
        assert figures[1] is not None
        differences.append(figures[0] - figures[1])
    width = np.ptp(differences)
    assert paired_bootstrap(A, B, STATISTICS[name], repeats=4000) == pytest.approx(
        np.quantile(differences, [0.025, 0.975]), abs=0.03 * width
    )


def test_what_is_hard_for_both_drops_out_of_the_difference() -> None:
    """Records differ widely, but B always misses one beat in ten more."""
    ours = [record(90 - hard, 10 + hard) for hard in (0, 20, 40, 60, 80)]
    theirs = [record(80 - hard, 20 + hard) for hard in (0, 20, 40, 60, 80)]
    assert paired_bootstrap(ours, theirs, statistics.veb_sensitivity) == pytest.approx((0.1, 0.1))
    alone = bootstrap(ours, statistics.veb_sensitivity)
    assert alone is not None
    assert alone[1] - alone[0] > 0.3


def test_equal_models_differ_by_nothing() -> None:
    paired = PairedEvaluation.of(evaluation(A), evaluation(A))
    assert set(paired.differences.values()) == {0.0}
    assert set(paired.intervals.values()) == {(0.0, 0.0)}
    assert (paired.fewer, paired.more, paired.equal, paired.sign_test) == (0, 0, 5, None)


def test_exchanging_the_two_turns_every_sign() -> None:
    ahead, behind = (
        PairedEvaluation.of(evaluation(A), evaluation(B)),
        PairedEvaluation.of(evaluation(B), evaluation(A)),
    )
    assert (ahead.fewer, ahead.more, ahead.equal) == (behind.more, behind.fewer, behind.equal)
    assert ahead.sign_test == behind.sign_test
    for name in STATISTICS:
        forward, back = ahead.intervals[name], behind.intervals[name]
        assert ahead.differences[name] == pytest.approx(-(behind.differences[name] or 0.0))
        assert forward is not None
        assert back is not None
        assert forward == pytest.approx((-back[1], -back[0]))


def test_records_are_told_apart_by_their_veb_errors() -> None:
    """A makes 14, 0, 60, 30 and 6 errors, B 24, 1, 60, 28 and 23."""
    paired = PairedEvaluation.of(evaluation(A), evaluation(B))
    assert (paired.fewer, paired.more, paired.equal) == (3, 1, 1)
    # Of 4 signs at least 3 alike, either way: (4 + 1 + 4 + 1) / 16.
    assert paired.sign_test == pytest.approx(10 / 16) == pytest.approx(binomtest(3, 4).pvalue)
    assert paired.differences["veb_f1"] == pytest.approx(850 / 960 - 802 / 938)


def test_record_without_pvcs_favours_fewer_false_positives() -> None:
    paired = PairedEvaluation.of(
        evaluation([record(0, 0), record(9, 1)]), evaluation([record(0, 0, 3), record(9, 1)])
    )
    assert (paired.fewer, paired.more, paired.equal) == (1, 0, 1)


def test_a_difference_without_both_figures_is_none() -> None:
    paired = PairedEvaluation.of(evaluation([record(0, 0)] * 2), evaluation([record(0, 0, 2)] * 2))
    assert paired.differences["veb_f1"] is None
    assert paired.intervals["veb_f1"] is None
    assert paired.differences["veb_false_positives_per_hour"] == pytest.approx(-4.0)


def test_one_record_gives_differences_and_no_interval() -> None:
    paired = PairedEvaluation.of(evaluation(A[:1]), evaluation(B[:1]))
    assert paired.differences["veb_sensitivity"] == pytest.approx(0.1)
    assert set(paired.intervals.values()) == {None}


def test_a_pair_is_plain_json() -> None:
    content = json.loads(
        json.dumps(PairedEvaluation.of(evaluation(A), evaluation(B)).as_dict(), allow_nan=False)
    )
    assert set(content["differences"]) == set(content["intervals"]) == set(STATISTICS)
    low, high = content["intervals"]["veb_f1"]
    assert low <= content["differences"]["veb_f1"] <= high
    assert content["veb_errors"] == {
        "fewer": 3,
        "more": 1,
        "equal": 1,
        "sign_test": pytest.approx(0.625),
    }


def test_other_records_on_either_side_are_refused() -> None:
    with pytest.raises(ValueError, match="the same records"):
        PairedEvaluation.of(evaluation(A), evaluation(B[:4]))
    with pytest.raises(ValueError, match="5 and 4"):
        paired_bootstrap(A, B[:4], statistics.veb_f1)
