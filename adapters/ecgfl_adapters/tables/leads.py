"""Which columns of a table are leads, and how their numbers become millivolts."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from ecgfl_adapters.channel_kinds import Kind, is_ecg, kind_of_name
from ecgfl_adapters.errors import FileUnreadable, LeadMissing, UnitUnknown
from ecgfl_adapters.leads import Channel, Choice, choose_leads, unique_names
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Remark
from ecgfl_adapters.tables.cells import cells_of, is_comment, number_of
from ecgfl_adapters.tables.columns import Column, split_unit
from ecgfl_adapters.tables.layout import FROM_LAYOUT, CsvLayout, Understood
from ecgfl_adapters.tables.opensignals import OpenSignals, units_fix
from ecgfl_adapters.tables.sniff import LAYOUT_FIX, Rows
from ecgfl_adapters.tables.statements import Statements
from ecgfl_adapters.tables.text_file import TextFile
from ecgfl_adapters.units import Scale, factor_to_mv, is_adc, parse_units

_NOT_READ = {
    "text": "it holds words",
    "date": "dates do not enter",
    "counter": "it counts the rows, to show lost ones",
    "other": "it is no ECG's",
    "empty": "it is empty",
    "lead": "nothing says that it is an ECG",
}
_UNITS_FIX = (
    "Give --units mV, uV or V; for ADC units --units adc:GAIN:BASELINE (GAIN per mV), for mitdb "
    "--units adc:200:1024; "
    "or name the other leads with --lead NAME"
)
_STEADY_SHARE = 0.9
"""Minimum share of steps that must be about equal; rows are missing at the other steps."""
_RISES = 3
"""Minimum number of upward steps for a staircase column to be a coarse time column."""
_STEADY_ROWS = 100
"""Rows over which a column goes up by about the same, to be taken for a time or a counter whatever
its name.
"""


class LeadColumn(NamedTuple):
    """A column that is read. name : of the lead, unique in the file."""

    column: Column
    name: str
    scale: Scale


def refuse_unnamed_time(path: Path, text: TextFile, rows: Rows, columns: Sequence[Column]) -> None:
    """Refuse a column that always increases: it is not a lead, whatever it is called.

    Raises `FileUnreadable`.
    """
    lines = [
        line
        for line in text.lines[rows.start : rows.start + 300]
        if line.strip() and not is_comment(line)
    ]
    table = [
        cells
        for line in lines
        if len(cells := cells_of(line, rows.dialect.separator)) == len(rows.kinds) > 1
    ]
    for column in columns:
        if column.role != "lead" or column.kind != "number" or _is_derived_from_ecg(column.title):
            continue
        values = [_number(cells[column.place], rows) for cells in table]
        steps = [after - before for before, after in pairwise(values)]
        rises = [step for step in steps if step > 0]
        if not rises or min(steps) < 0 or (0 in steps and len(rises) < _RISES):
            continue
        usual = median(rises)
        steady = sum(
            0.5 * usual < step < 1.5 * usual or step == 0 for step in steps
        ) >= _STEADY_SHARE * len(steps)
        first_without_name = column.place == 0 and not column.title and len(steps) > 1
        if first_without_name or (len(steps) >= _STEADY_ROWS and steady):
            shown = (
                f"column {column.title!r}"
                if column.title
                else "the first column"
                if column.place == 0
                else "a column"
            )
            raise FileUnreadable(
                path,
                f"{shown} always goes up, as time does, but has no name that says so",
                f"Add a header such as 'time_s,ecg_mV', or {LAYOUT_FIX}, with time = "
                f"{column.place + 1} and its time_unit",
            )


def _is_derived_from_ecg(title: str) -> bool:
    """Return whether a column such as "ECG_Phase_Completion_Atrial" is computed from the ECG: it
    may rise for a while.
    """
    return (
        re.search("e[ck]g", title, re.IGNORECASE) is not None
        and kind_of_name(title) is Kind.DERIVED
    )


def _number(cell: str, rows: Rows) -> float:
    number = number_of(cell, rows.dialect.decimal)
    return float("nan") if number is None else number


def _cells_of_head(text: TextFile, rows: Rows) -> list[list[str]]:
    lines = [line for line in text.lines[rows.start :] if line.strip() and not is_comment(line)]
    return [
        cells
        for line in lines
        if len(cells := cells_of(line, rows.dialect.separator)) == len(rows.kinds)
    ]


def _choose(
    path: Path,
    signals: Sequence[Column],
    names: Sequence[str],
    text: TextFile,
    rows: Rows,
    layout: CsvLayout,
    options: ReadOptions,
) -> Choice:
    """Return indices into `signals`.

    A column with at most two values whose name is not an ECG's is a marker column, and so is a
    column of 0 and 1 beside others.
    """
    channels = [
        Channel(name, column.unit or "") for name, column in zip(names, signals, strict=True)
    ]
    if options.leads:
        return choose_leads(path, channels, options)
    if layout.leads:
        return Choice(list(range(len(signals))))
    table = _cells_of_head(text, rows)
    kept = []
    for place, column in enumerate(signals):
        values = {cells[column.place] for cells in table} - {""}
        is_mark = len(values) <= 2 and not is_ecg(names[place], options.ecg_channels)
        is_mark |= len(signals) > 1 and {_number(value, rows) for value in values} == {
            0.0,
            1.0,
        }  # "ECG found"
        is_mark &= len(table) >= _STEADY_ROWS
        if column.role != "other" and not is_mark:
            kept.append(place)
    if not kept:
        there = ", ".join(repr(name) for name in names)
        raise LeadMissing(
            path,
            f"no channel is known as an ECG lead (channels: {there})",
            "Name the ECG with --lead NAME",
        )
    chosen, remarks = choose_leads(path, [channels[place] for place in kept], options)
    return Choice([kept[place] for place in chosen], remarks)


def leads_of(
    path: Path,
    text: TextFile,
    rows: Rows,
    columns: Sequence[Column],
    layout: CsvLayout,
    statements: Statements,
    opensignals: OpenSignals | None,
    options: ReadOptions,
    notes: list[Understood],
) -> tuple[tuple[LeadColumn, ...], tuple[Remark, ...]]:
    signals = [
        column
        for column in columns
        if column.role in ("lead", "other") and column.kind in ("number", "empty")
    ]
    if layout.leads:
        signals = [
            _of_layout(path, columns, key)._replace(name=name, role="lead")
            for key, name in layout.leads.items()
        ]
    if not signals:
        there = ", ".join(column.title or f"column {column.place + 1}" for column in columns)
        raise FileUnreadable(
            path, f"columns {there} hold no signal", "Export the signal again, with its leads"
        )
    names = unique_names([column.name or f"column {column.place + 1}" for column in signals])
    titles = [column.title for column in columns]
    wanted = [split_unit(name).name if name in titles else name for name in options.leads]

    if len({column.place for column in signals}) < len(signals):
        raise LeadMissing(path, "[[csv]] leads names one column twice", "Correct site.toml")
    chosen, remarks = _choose(
        path, signals, names, text, rows, layout, replace(options, leads=tuple(wanted))
    )
    places = {column.place: index for index, column in enumerate(signals)}
    found: dict[int, LeadColumn] = {}
    for column in columns:
        index = places.get(column.place, -1)
        what = f"column {column.place + 1}"
        if index not in chosen:
            why = "--lead names others" if wanted and index >= 0 else _NOT_READ.get(column.role)
            if why is not None:
                notes.append(Understood(what, f"{column.title or '-'}: not read", why))
            continue
        key = (
            column.title
            if titles.count(column.title) == 1 and column.title
            else str(column.place + 1)
        )
        same: dict[str, Any] = {"leads": {key: names[index]}}
        try:
            scale, unit, why = _scale(
                path, signals[index], names[index], layout, statements, opensignals, options
            )
        except UnitUnknown:
            notes.append(
                Understood(what, f"lead {names[index]}, in ?", "nothing states a unit", same)
            )
            raise
        same["units" if why in ("--units", FROM_LAYOUT) else "stated"] = unit
        notes.append(Understood(what, f"lead {names[index]}, in {unit}", why, same))
        found[index] = LeadColumn(signals[index], names[index], scale)
    return tuple(found[index] for index in chosen), remarks


def _of_layout(path: Path, columns: Sequence[Column], key: str) -> Column:
    for column in columns:
        if key in (column.title, column.name) and key:
            return column
    if key.isdigit() and 0 < int(key) <= len(columns):
        return columns[int(key) - 1]
    there = ", ".join(repr(column.title or str(column.place + 1)) for column in columns)
    raise LeadMissing(
        path,
        f"[[csv]] leads names column {key!r}, which is not in the file (columns: {there})",
        "Correct site.toml",
    )


def _scale(
    path: Path,
    column: Column,
    name: str,
    layout: CsvLayout,
    statements: Statements,
    opensignals: OpenSignals | None,
    options: ReadOptions,
) -> tuple[Scale, str, str]:
    """Of one lead, with its unit and what states it: the column, then the lines above; --units and
    the layout win over both.
    """
    given, source = (
        (options.units, "--units") if options.units is not None else (layout.units, FROM_LAYOUT)
    )
    stated, why = column.unit, f"the header names the unit {column.unit!r}"
    if stated is None and statements.unit is not None:
        stated, why = statements.unit.value, f"line {statements.unit.line} names the unit"
    factor = factor_to_mv(stated) if stated is not None else None
    if stated is not None and factor is not None and (given is None or is_adc(given)):
        return Scale(factor), stated, why
    if given is None:
        raise UnitUnknown(
            path,
            f"no unit is stated for column {name!r}",
            units_fix(opensignals.bits) if opensignals is not None else _UNITS_FIX,
        )
    return parse_units(path, given), given, source
