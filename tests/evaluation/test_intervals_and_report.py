import json

import numpy as np
import pytest

from ecgfl_cli.evaluation import statistics
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.intervals import bootstrap
from ecgfl_cli.evaluation.report import Evaluation, matrix_text


def record(found: int, missed: int) -> Comparison:
    matrix = np.zeros((7, 7), dtype=np.int64)
    matrix[2, 2], matrix[2, 0], matrix[0, 0] = found, missed, 500
    return Comparison(matrix, 1500.0)


RECORDS = [record(90, 10), record(50, 0), record(200, 40), record(10, 30), record(75, 5)]


def test_interval_contains_gross_figure_and_narrows_with_level() -> None:
    gross = sum(RECORDS, start=Comparison.empty()).veb_sensitivity
    wide = bootstrap(RECORDS, statistics.veb_sensitivity)
    narrow = bootstrap(RECORDS, statistics.veb_sensitivity, level=0.5)
    assert wide is not None
    assert narrow is not None
    assert gross is not None
    assert wide[0] < narrow[0] < gross < narrow[1] < wide[1]


def test_records_that_agree_give_an_interval_without_width() -> None:
    assert bootstrap([record(9, 1)] * 4, statistics.veb_sensitivity) == pytest.approx((0.9, 0.9))


def test_the_interval_is_that_of_a_resampling_written_out() -> None:
    draw = np.random.default_rng(1)
    figures = []
    for _ in range(4000):
        gross = sum((RECORDS[place] for place in draw.integers(0, 5, 5)), start=Comparison.empty())
        figures.append(gross.veb_sensitivity)
    assert bootstrap(RECORDS, statistics.veb_sensitivity, repeats=4000) == pytest.approx(
        np.quantile(figures, [0.025, 0.975]), abs=0.02
    )


def test_the_same_seed_gives_the_same_interval() -> None:
    assert bootstrap(RECORDS, statistics.veb_f1, seed=4) == bootstrap(
        RECORDS, statistics.veb_f1, seed=4
    )
    assert bootstrap(RECORDS, statistics.veb_f1, seed=4) != bootstrap(
        RECORDS, statistics.veb_f1, seed=5
    )


def test_resamples_without_any_v_are_passed_over() -> None:
    assert bootstrap([record(9, 1), record(0, 0)], statistics.veb_sensitivity) == pytest.approx(
        (0.9, 0.9)
    )


def test_one_record_or_undefined_figure_has_no_interval() -> None:
    assert bootstrap([record(9, 1)], statistics.veb_sensitivity) is None
    assert bootstrap([record(0, 0)] * 3, statistics.veb_sensitivity) is None


@pytest.mark.parametrize("options", [{"repeats": 0}, {"level": 0.0}, {"level": 1.0}])
def test_senseless_settings_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="an interval needs"):
        bootstrap(RECORDS, statistics.veb_f1, **options)  # type: ignore[arg-type]


def test_evaluation_as_plain_json() -> None:
    evaluation = Evaluation.of({"100": record(0, 0), "119": record(9, 1), "208": record(5, 5)})
    content = json.loads(json.dumps(evaluation.as_dict(), allow_nan=False))
    assert list(content["records"]) == ["100", "119", "208"]
    assert content["records"]["100"]["veb_sensitivity"] is None
    assert content["gross"]["veb_sensitivity"] == pytest.approx(14 / 20)
    assert content["average"]["veb_sensitivity"] == pytest.approx((0.9 + 0.5) / 2)
    low, high = content["intervals"]["veb_sensitivity"]
    assert low <= 0.7 <= high
    assert content["gross"]["matrix"]["counts"][2] == [6, 0, 14, 0, 0, 0, 0]


def test_an_evaluation_of_nothing_is_still_an_evaluation() -> None:
    content = Evaluation.of({}).as_dict()
    assert content["gross"]["qrs_tp"] == 0
    assert content["intervals"]["veb_f1"] is None


def test_the_matrix_is_printed_in_the_form_of_bxb() -> None:
    assert matrix_text(record(9, 1)) == (
        "               Algorithm\n"
        "        n    s    v    f    q    o    x\n"
        "   ____________________________________\n"
        " N |  500    0    0    0    0    0    0\n"
        " S |    0    0    0    0    0    0    0\n"
        " V |    1    0    9    0    0    0    0\n"
        " F |    0    0    0    0    0    0    0\n"
        " Q |    0    0    0    0    0    0    0\n"
        " O |    0    0    0    0    0\n"
        " X |    0    0    0    0    0\n"
    )
