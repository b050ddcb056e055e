"""Line charts have axes of round numbers and show a missing round as a gap."""

from typing import Any

import pytest

from ecgfl_cli.reports.charts import Chart, line_chart, multi_line_chart, ticks_over
from ecgfl_cli.reports.render import render


def svg(chart: Chart) -> str:
    return render("chart.svg", chart=chart)


@pytest.mark.parametrize(
    ("low", "high", "whole", "ticks"),
    [
        (0.0, 4.0, True, [0, 1, 2, 3, 4]),
        (0.0, 50.0, True, [0, 20, 40, 60]),
        (0.0, 0.0, True, [0, 1]),
        (57.1, 95.7, False, [50, 60, 70, 80, 90, 100]),
        (0.5, 0.5, False, [0.5, 0.52]),
        (0.0, 1e6, False, [0, 250000, 500000, 750000, 1000000]),
    ],
)
def test_axis_has_round_numbers(low: float, high: float, whole: bool, ticks: list[float]) -> None:
    assert ticks_over(low, high, whole) == pytest.approx(ticks)


def test_missing_round_is_a_gap() -> None:
    drawn = svg(line_chart("Se", [1, 2, 3, 4], [0.5, 0.6, None, 0.7]))
    assert drawn.count("<polyline") == 2
    assert drawn.count("<circle") == 3
    assert "not measured" in svg(line_chart("Se", [1, 2], [None, None]))
    assert svg(line_chart("Se", [1], [0.5])).count("<circle") == 1


def test_long_run_has_no_markers_except_on_single_points() -> None:
    rounds = range(1, 101)
    values: list[Any] = [float(number) for number in rounds]
    assert "<circle" not in svg(line_chart("Se", rounds, values))
    values[1] = None
    assert svg(line_chart("Se", rounds, values)).count("<circle") == 1


def test_each_line_has_its_own_colour() -> None:
    drawn = svg(multi_line_chart("F1", [1, 2], {"fedavg": [1.0, 2.0], "krum": [2.0]}))
    assert "<title>fedavg, round 2: 2</title>" in drawn
    assert "<title>krum, round 1: 2</title>" in drawn
    assert (
        len({line.split('stroke="')[1] for line in drawn.splitlines() if "<polyline" in line}) == 2
    )
