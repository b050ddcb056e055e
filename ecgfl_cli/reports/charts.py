"""A small line chart as inline SVG: one value a round, a gap where a round has none."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle

from ecgfl_cli.printable import html_text as escape

WIDTH, HEIGHT = 440, 200
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 30, 30
GRID_LINES = 4
MOST_LABELS, MOST_POINTS = 10, 60
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
COLOURS = ("#1c6fb0", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe & Ito's, which colour-blind people tell apart. Source: jfly.uni-koeln.de/color, 2008."""


def curve(
    title: str, rounds: Sequence[int], values: Sequence[float | None], whole: bool = False
) -> str:
    """An SVG element with one line. rounds : in ascending order. values : as many. whole : they are counts, from 0 on."""
    return curves(title, rounds, {"": values}, whole)


def curves(
    title: str,
    rounds: Sequence[int],
    lines: Mapping[str, Sequence[float | None]],
    whole: bool = False,
) -> str:
    """The same with a line for each name, in the order of `COLOURS`; a line may be shorter than `rounds`."""
    known = [value for values in lines.values() for value in values if value is not None]
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)} per round">',
        f'<text x="{LEFT}" y="18" class="title">{escape(title)}</text>',
    ]
    if not known:
        parts.append(
            f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle" class="note">not measured</text></svg>'
        )
        return "".join(parts)
    ticks = ticks_over(0.0 if whole else min(known), max(known), whole)
    low, high = ticks[0], ticks[-1]

    def x(number: int) -> float:
        span = rounds[-1] - rounds[0]
        share = (number - rounds[0]) / span if span else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    for tick in ticks:
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>'
        )
        parts.append(
            f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.6g}</text>'
        )
    for number in rounds[:: math.ceil(len(rounds) / MOST_LABELS)]:
        parts.append(
            f'<text x="{x(number):.1f}" y="{HEIGHT - 10}" text-anchor="middle">{number}</text>'
        )
    for (name, values), colour in zip(lines.items(), cycle(COLOURS), strict=False):
        for run in _runs(rounds, values):
            points = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value in run)
            parts.append(f'<polyline points="{points}" stroke="{colour}"/>')
            if len(rounds) <= MOST_POINTS or len(run) == 1:
                parts += [
                    f'<circle cx="{x(number):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}">'
                    f"<title>{f'{escape(name)}, ' if name else ''}round {number}: {value:.6g}</title></circle>"
                    for number, value in run
                ]
    return "".join([*parts, "</svg>"])


def legend(names: Sequence[str]) -> str:
    """A paragraph that says which colour is whose."""
    coloured = zip(names, cycle(COLOURS), strict=False)
    marks = [f'<b style="color: {colour}">&#9679;</b> {escape(name)}' for name, colour in coloured]
    return f"<p>{' &nbsp; '.join(marks)}</p>"


def ticks_over(low: float, high: float, whole: bool) -> list[float]:
    """Round numbers, about five of them, that span the values; at least two."""
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
    """The values without the gaps, in unbroken runs."""
    runs: list[list[tuple[int, float]]] = [[]]
    for number, value in zip(rounds, values, strict=False):
        if value is not None:
            runs[-1].append((number, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
