"""Small line charts: one value per round, and a gap where a round has none.

`templates/chart.svg` draws them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import ClassVar

GRID_LINES = 4
MOST_LABELS, MOST_POINTS = 10, 60
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
COLOURS = ("#1c6fb0", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colours that colour-blind people can distinguish.

Source: Okabe & Ito, jfly.uni-koeln.de/color, 2008.
"""


@dataclass(frozen=True)
class Tick:
    """A label at a position of an axis, in units of the drawing."""

    position: float
    label: str


@dataclass(frozen=True)
class Point:
    """A point of a line, in units of the drawing, and the text that explains it."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class LineSegment:
    """A part of a line without a gap.

    Attributes
    ----------
    has_markers
        Whether each point is marked.
    """

    colour: str
    points: tuple[Point, ...]
    has_markers: bool


@dataclass(frozen=True)
class Chart:
    """A chart, ready to be drawn. Without a segment it says "not measured".

    Attributes
    ----------
    title
        What is shown.
    value_ticks
        Ticks of the vertical axis.
    round_ticks
        Ticks of the horizontal axis.
    """

    width: ClassVar[int] = 440
    height: ClassVar[int] = 200
    left: ClassVar[int] = 56
    right: ClassVar[int] = 428
    top: ClassVar[int] = 30
    bottom: ClassVar[int] = 170

    title: str
    value_ticks: tuple[Tick, ...] = ()
    round_ticks: tuple[Tick, ...] = ()
    segments: tuple[LineSegment, ...] = ()


def line_chart(
    title: str,
    rounds: Sequence[int],
    values: Sequence[float | None],
    *,
    are_counts: bool = False,
) -> Chart:
    """Return a chart with one line; see `multi_line_chart`."""
    return multi_line_chart(title, rounds, {"": values}, are_counts=are_counts)


def multi_line_chart(
    title: str,
    rounds: Sequence[int],
    lines: Mapping[str, Sequence[float | None]],
    *,
    are_counts: bool = False,
) -> Chart:
    """Return a chart with a line for each name.

    Parameters
    ----------
    title
        What is shown, with its unit.
    rounds
        Numbers of the rounds, in ascending order.
    lines
        Name -> one value per round; None where a round has none. A line may be shorter than
        `rounds`. The lines have `COLOURS` in this order.
    are_counts
        Whether the values are whole numbers; their axis then begins at 0.
    """
    known = [value for values in lines.values() for value in values if value is not None]
    if not known:
        return Chart(title)
    ticks = ticks_over(0.0 if are_counts else min(known), max(known), are_counts)
    low, high = ticks[0], ticks[-1]

    def x(number: int) -> float:
        span = rounds[-1] - rounds[0]
        share = (number - rounds[0]) / span if span else 0.5
        return Chart.left + share * (Chart.right - Chart.left)

    def y(value: float) -> float:
        return Chart.top + (high - value) / (high - low) * (Chart.bottom - Chart.top)

    def point(name: str, number: int, value: float) -> Point:
        text = f"{f'{name}, ' if name else ''}round {number}: {value:.6g}"
        return Point(x(number), y(value), text)

    return Chart(
        title,
        tuple(Tick(y(tick), f"{tick:.6g}") for tick in ticks),
        tuple(
            Tick(x(number), str(number))
            for number in rounds[:: math.ceil(len(rounds) / MOST_LABELS)]
        ),
        tuple(
            LineSegment(
                colour,
                tuple(point(name, number, value) for number, value in run),
                has_markers=len(rounds) <= MOST_POINTS or len(run) == 1,
            )
            for (name, values), colour in zip(lines.items(), cycle(COLOURS), strict=False)
            for run in _runs(rounds, values)
        ),
    )


def legend(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the colour of each line with its name, for the macro `legend`."""
    return list(zip(cycle(COLOURS), names, strict=False))


def ticks_over(low: float, high: float, whole: bool) -> list[float]:
    """Return about five round numbers, at least two, that span the values.

    Parameters
    ----------
    whole
        Use whole numbers only.
    """
    span = (high - low) or abs(high) * 0.1 or 1.0
    magnitude = 10.0 ** math.floor(math.log10(span / GRID_LINES))
    step = next(
        factor * magnitude
        for factor in STEPS
        if factor * magnitude * GRID_LINES >= span * (1 - 1e-9)
    )
    if whole:
        step = max(1.0, math.ceil(step))
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [step * number for number in range(first, last + 1)]


def _runs(rounds: Sequence[int], values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Return the (round, value) pairs, divided at the gaps."""
    runs: list[list[tuple[int, float]]] = [[]]
    for number, value in zip(rounds, values, strict=False):
        if value is not None:
            runs[-1].append((number, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
