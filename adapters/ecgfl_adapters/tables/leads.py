"""Determines which columns of a table are leads, and how their numbers become millivolts."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from ecgfl_adapters.channel_kinds import ChannelKind, is_ecg, kind_of_name
from ecgfl_adapters.errors import FileUnreadable, LeadMissing, UnitUnknown
from ecgfl_adapters.leads import Channel, Choice, choose_leads, unique_names
from ecgfl_adapters.recording import Remark
from ecgfl_adapters.tables.columns import Column, split_unit
from ecgfl_adapters.tables.layout import FROM_LAYOUT
from ecgfl_adapters.tables.opensignals import OpenSignals, units_fix
from ecgfl_adapters.tables.sniff import LAYOUT_FIX
from ecgfl_adapters.tables.statements import Statement, Statements
from ecgfl_adapters.tables.table import Table
from ecgfl_adapters.units import Scale, factor_to_mv, is_adc, parse_units

_NOT_READ = {
    "text": "it holds words",
    "date": "dates are not read",
    "counter": "it counts the rows, to show lost ones",
    "other": "it is not an ECG",
    "empty": "it is empty",
    "lead": "nothing says that it is an ECG",
}
_UNITS_FIX = (
    "Give --units mV, uV or V; for ADC units --units adc:GAIN:BASELINE (GAIN per mV), for mitdb "
    "--units adc:200:1024; or name the other leads with --lead NAME"
)
_HEAD_ROWS = 300
"""Number of rows in which a column without a name is checked."""
_STEADY_SHARE = 0.9
"""Minimum share of steps that must be about equal; rows are missing at the other steps."""
_RISES = 3
"""Minimum number of upward steps for a staircase column to be a coarse time column."""
_STEADY_ROWS = 100
"""Number of rows over which a column rises steadily for it to be a time or a counter, whatever its
name.
"""


class LeadColumn(NamedTuple):
    """A column that is read as a lead.

    Parameters
    ----------
    column : Column
        The column.
    name : str
        Name of the lead, unique in the file.
    scale : Scale
        How its numbers become millivolts.
    """

    column: Column
    name: str
    scale: Scale


def refuse_unnamed_time(table: Table, columns: Sequence[Column]) -> None:
    """Raise `FileUnreadable` for a column that always increases: it is not a lead."""
    rows = table.first_rows(_HEAD_ROWS) if len(table.rows.kinds) > 1 else []
    for column in columns:
        if column.role != "lead" or column.kind != "number" or _is_derived_from_ecg(column.title):
            continue
        values = [_number(cells[column.place], table) for cells in rows]
        steps = [after - before for before, after in pairwise(values)]
        rises = [step for step in steps if step > 0]
        if not rises or min(steps) < 0 or (0 in steps and len(rises) < _RISES):
            continue
        usual = median(rises)
        regular = sum(0.5 * usual < step < 1.5 * usual or step == 0 for step in steps)
        steady = len(steps) >= _STEADY_ROWS and regular >= _STEADY_SHARE * len(steps)
        is_first = column.place == 0
        if steady or (is_first and not column.title and len(steps) > 1):
            nameless = "the first column" if is_first else "a column"
            raise FileUnreadable(
                table.path,
                f"{f'column {column.title!r}' if column.title else nameless} always goes up, as "
                "time does, but has no name that says so",
                f"Add a header such as 'time_s,ecg_mV', or {LAYOUT_FIX}, with time = "
                f"{column.place + 1} and its time_unit",
            )


def _is_derived_from_ecg(title: str) -> bool:
    """Return whether a column such as "ECG_Phase_Completion_Atrial" is computed from the ECG.

    Such a column may rise for a while.
    """
    names_ecg = re.search("e[ck]g", title, re.IGNORECASE) is not None
    return names_ecg and kind_of_name(title) is ChannelKind.DERIVED


def _number(cell: str, table: Table) -> float:
    number = table.number(cell)
    return float("nan") if number is None else number


def _choose(
    table: Table, signals: Sequence[Column], names: Sequence[str], requested: tuple[str, ...]
) -> Choice:
    """Return the indices in `signals` of the leads to read.

    A column with at most two values is a marker column if its name is not that of an ECG, and so is
    a column of 0 and 1 beside others.
    """
    options = replace(table.options, leads=requested)
    channels = [
        Channel(name, column.unit or "") for name, column in zip(names, signals, strict=True)
    ]
    if requested:
        return choose_leads(table.path, channels, options)
    if table.layout.leads:
        return Choice(list(range(len(signals))))
    rows = table.first_rows()
    kept = []
    for place, column in enumerate(signals):
        values = {cells[column.place] for cells in rows} - {""}
        numbers = {_number(value, table) for value in values}
        is_mark = len(rows) >= _STEADY_ROWS and (
            (len(values) <= 2 and not is_ecg(names[place], options.ecg_channels))
            or (len(signals) > 1 and numbers == {0.0, 1.0})  # "ECG found"
        )
        if column.role != "other" and not is_mark:
            kept.append(place)
    if not kept:
        raise LeadMissing(
            table.path,
            f"no channel is known as an ECG lead (channels: {', '.join(map(repr, names))})",
            "Name the ECG with --lead NAME",
        )
    chosen, remarks = choose_leads(table.path, [channels[place] for place in kept], options)
    return Choice([kept[place] for place in chosen], remarks)


def leads_of(
    table: Table,
    columns: Sequence[Column],
    statements: Statements,
    opensignals: OpenSignals | None,
) -> tuple[tuple[LeadColumn, ...], tuple[Remark, ...]]:
    """Return the columns to read as leads, and remarks on those that are left out.

    Raises
    ------
    FileUnreadable
        If no column holds a signal.
    LeadMissing
        If no column is known as an ECG, or a requested one is missing.
    UnitUnknown
        If nothing states the unit of a lead.
    """
    signals = _signals(table, columns)
    names = unique_names([column.name or f"column {column.place + 1}" for column in signals])
    titles = [column.title for column in columns]
    requested = tuple(
        split_unit(name).name if name in titles else name for name in table.options.leads
    )
    if len({column.place for column in signals}) < len(signals):
        raise LeadMissing(table.path, "[[csv]] leads names one column twice", "Correct site.toml")
    chosen, remarks = _choose(table, signals, names, requested)
    indices = {column.place: index for index, column in enumerate(signals)}
    leads: dict[int, LeadColumn] = {}
    for column in columns:
        index = indices.get(column.place, -1)
        what = f"column {column.place + 1}"
        if index not in chosen:
            is_other_lead = requested and index >= 0
            why = "--lead names others" if is_other_lead else _NOT_READ.get(column.role)
            if why is not None:
                table.note(what, f"{column.title or '-'}: not read", why)
            continue
        is_unique = titles.count(column.title) == 1 and column.title
        key = column.title if is_unique else str(column.place + 1)
        same: dict[str, Any] = {"leads": {key: names[index]}}
        try:
            scale, unit, why = _scale(
                table, signals[index], names[index], statements.unit, opensignals
            )
        except UnitUnknown:
            table.note(what, f"lead {names[index]}, in ?", "nothing states a unit", same)
            raise
        same["units" if why in ("--units", FROM_LAYOUT) else "stated"] = unit
        table.note(what, f"lead {names[index]}, in {unit}", why, same)
        leads[index] = LeadColumn(signals[index], names[index], scale)
    return tuple(leads[index] for index in chosen), remarks


def _signals(table: Table, columns: Sequence[Column]) -> list[Column]:
    """Return the columns that may be leads; with a layout, those that it names."""
    if table.layout.leads:
        return [
            _named_column(table, columns, key)._replace(name=name, role="lead")
            for key, name in table.layout.leads.items()
        ]
    signals = [
        column
        for column in columns
        if column.role in ("lead", "other") and column.kind in ("number", "empty")
    ]
    if not signals:
        names = ", ".join(column.title or f"column {column.place + 1}" for column in columns)
        raise FileUnreadable(
            table.path,
            f"columns {names} hold no signal",
            "Export the signal again, with its leads",
        )
    return signals


def _named_column(table: Table, columns: Sequence[Column], key: str) -> Column:
    """Return the column with a title, a name, or a number from 1 as text."""
    for column in columns:
        if key in (column.title, column.name) and key:
            return column
    if key.isdigit() and 0 < int(key) <= len(columns):
        return columns[int(key) - 1]
    names = ", ".join(repr(column.title or str(column.place + 1)) for column in columns)
    raise LeadMissing(
        table.path,
        f"[[csv]] leads names column {key!r}, which is not in the file (columns: {names})",
        "Correct site.toml",
    )


def _scale(
    table: Table,
    column: Column,
    name: str,
    statement: Statement | None,
    opensignals: OpenSignals | None,
) -> tuple[Scale, str, str]:
    """Return the scale of a lead, its unit, and what states it.

    --units and the layout take precedence over the column, and the column over the lines above.
    """
    given, source = table.options.units, "--units"
    if given is None:
        given, source = table.layout.units, FROM_LAYOUT
    stated, why = column.unit, f"the header names the unit {column.unit!r}"
    if stated is None and statement is not None:
        stated, why = statement.value, f"line {statement.line} names the unit"
    factor = factor_to_mv(stated) if stated is not None else None
    if stated is not None and factor is not None and (given is None or is_adc(given)):
        return Scale(factor), stated, why
    if given is None:
        raise UnitUnknown(
            table.path,
            f"no unit is stated for column {name!r}",
            units_fix(opensignals.bits) if opensignals is not None else _UNITS_FIX,
        )
    return parse_units(table.path, given), given, source
