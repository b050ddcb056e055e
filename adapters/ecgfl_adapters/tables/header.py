"""Finds the names of a table's columns in the lines above its rows."""

from typing import NamedTuple

from ecgfl_adapters.channel_kinds import is_ecg
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.tables.cells import is_comment, kind_of
from ecgfl_adapters.tables.columns import Column, column_of, is_index, split_unit, titles_of
from ecgfl_adapters.tables.layout import FROM_LAYOUT, NOTHING
from ecgfl_adapters.tables.opensignals import OpenSignals, is_counter, is_digital
from ecgfl_adapters.tables.sniff import LAYOUT_FIX
from ecgfl_adapters.tables.statements import Statements, statements_of, states_rate
from ecgfl_adapters.tables.table import Table
from ecgfl_adapters.tables.time_units import time_title

_HEAD_ROWS = 200
"""Number of rows that are examined."""


class TableHeader(NamedTuple):
    """The names of the columns.

    Parameters
    ----------
    titles : tuple of str
        One for each column; "" for a column without a name.
    units : tuple of str, optional
        One for each column, if a line of units follows the titles.
    first : int
        Index of the first line that names columns and units; that of the rows if no line does.
    why : str
        Where the names are.
    """

    titles: tuple[str, ...]
    units: tuple[str, ...] | None
    first: int
    why: str


def columns_of_header(
    table: Table, header: TableHeader, opensignals: OpenSignals | None
) -> tuple[Column, ...]:
    """Return the columns of a table from their names and the kinds of their cells.

    Raises `FileUnreadable` if an OpenSignals header has another number of columns than the rows.
    """
    if opensignals is not None:
        return _opensignals_columns(table, opensignals)
    titles, units = header.titles, header.units
    if any(titles):
        is_above = header.first < table.rows.start
        same = {"skip_lines": header.first, "header": True} if is_above else NOTHING
        names = ", ".join(title or "-" for title in titles)
        table.note("header", names, header.why, same)
    else:
        table.note("header", "none", header.why, {"header": False})
    return tuple(
        column_of(place, titles[place], kind, units[place] if units is not None else None)
        for place, kind in enumerate(table.rows.kinds)
    )


def header_of(table: Table) -> TableHeader:
    """Return the names of the columns.

    They are in the line above the rows, else in a comment with as many cells as the rows, else in a
    comment "Labels: ...".

    Raises `FileUnreadable` if a line names another number of columns, or the columns seem to be
    parts of numbers.
    """
    rows, lines = table.rows, table.text.lines
    width = len(rows.kinds)
    if table.layout.header is False:
        return TableHeader(("",) * width, None, rows.start, FROM_LAYOUT)
    if rows.header is not None and not states_rate(lines[rows.header]):
        header = _header_above(table, rows.header)
        if header is not None:
            return header
    comments = [at for at, line in enumerate(lines[: rows.start]) if is_comment(line)]
    for at in reversed(comments if width > 1 else []):
        titles = titles_of([_titles(lines[at].strip().lstrip("#%/ \t"), table)], width)
        if (
            titles is not None
            and any(titles[0])
            and not all(kind_of(title, ".") == "number" for title in titles[0])
        ):
            return TableHeader(*titles, rows.start, f"line {at + 1}, a comment")
    labels = statements_of(lines[: rows.start], range(rows.start)).one({"labels"})
    if labels is not None and len(cells := table.cells(labels.value)) == width:
        return TableHeader(tuple(cells), None, rows.start, f"line {labels.line}, a comment")
    _refuse_split_numbers(table)
    why = "no line above the rows has as many cells"
    return TableHeader(("",) * width, None, rows.start, why)


def _header_above(table: Table, at: int) -> TableHeader | None:
    """Return the names in line `at`, the last one above the rows; None if it names no columns."""
    rows, lines = table.rows, table.text.lines
    width = len(rows.kinds)
    above = next(
        (up for up in range(at - 1, -1, -1) if lines[up].strip() and not is_comment(lines[up])),
        None,
    )
    numbers = [at] if above is None else [above, at]
    titles = titles_of([_titles(lines[number], table) for number in numbers], width)
    if titles is not None and any(titles[0]) and (width > 1 or not _is_statement(lines[at])):
        if rows.dialect.separator == " " and any(title[:1] in "([" for title in titles[0]):
            _refuse_split_numbers(table)  # "ECG (uV)" is one title
        return TableHeader(*titles, numbers[0] if titles[1] is not None else at, f"line {at + 1}")
    cells = table.cells(lines[at])
    if width > 1 and (len(cells) > 2 or all(_is_title(cell) for cell in cells if cell)):
        names = f"{len(cells)} columns" if len(cells) > 1 else "one column"
        commas = "; if the commas are decimal marks, export it with semicolons between the columns"
        raise FileUnreadable(
            table.path,
            f"line {at + 1} names {names}, but line {rows.start + 1} has {width} values",
            f"Correct the header line{commas if rows.dialect == (',', '.') else ''}, or "
            f"{LAYOUT_FIX}",
        )
    return None


def _is_title(cell: str) -> bool:
    """Return whether a cell is the name of a column, rather than a remark about the file."""
    name = split_unit(cell)
    return (
        name.unit is not None
        or time_title(cell) is not None
        or is_index(cell)
        or (is_ecg(name.name) and " " not in cell)
    )


def _refuse_split_numbers(table: Table) -> None:
    """Raise `FileUnreadable` for columns without names that seem to be parts of numbers.

    Examples are "0,12,0,34" with decimal commas and "1 024" with a blank as thousands separator.
    """
    separator, width = table.rows.dialect.separator, len(table.rows.kinds)
    rows = table.first_rows(_HEAD_ROWS)
    if (
        separator not in (",", " ")
        or width < 2
        or any(set(cell) & set(".,") for cells in rows for cell in cells)
    ):
        return
    first = width % 2  # a number of the row may precede the pairs
    wholes = [cell for cells in rows for cell in cells[first::2]]
    parts = [cell for cells in rows for cell in cells[first + 1 :: 2]]
    has_zeros = any(len(cell) > 1 and cell.startswith("0") for cell in parts) or "-0" in wholes
    if has_zeros and all(cell.isdigit() and (separator == "," or len(cell) == 3) for cell in parts):
        meaning = (
            "its commas seem to be decimal marks"
            if separator == ","
            else "its blanks seem to separate thousands"
        )
        lines = table.text.lines[table.rows.start :]
        first_line = next(line for line in lines if line.strip() and not is_comment(line))
        raise FileUnreadable(
            table.path,
            f"line {table.rows.start + 1} is {first_line.strip()[:40]!r}: {meaning}",
            f"Export the table with semicolons between the columns, or {LAYOUT_FIX}",
        )


def _titles(line: str, table: Table) -> list[str]:
    """Return the cells of a header line, with or without the separators that end each row."""
    cells, kinds = table.cells(line), table.rows.kinds
    if len(cells) < len(kinds) and all(kind == "empty" for kind in kinds[len(cells) :]):
        return [*cells, *[""] * (len(kinds) - len(cells))]
    return cells[: len(kinds)] if not any(cells[len(kinds) :]) else cells


def _is_statement(line: str) -> bool:
    """Return whether a line above a single column is "key: value" rather than a name."""
    statements = statements_of([line], range(0)).all
    return bool(statements) and split_unit(line.strip().strip("'\"")).unit is None


def _opensignals_columns(table: Table, header: OpenSignals) -> tuple[Column, ...]:
    kinds = table.rows.kinds
    width = sum(kind != "empty" for kind in kinds)
    if len(header.names) != width:
        raise FileUnreadable(
            table.path,
            f"line {header.line} names {len(header.names)} columns, but line "
            f"{table.rows.start + 1} has {width} values",
            "Export the recording again from OpenSignals",
        )
    table.note("header", ", ".join(header.names), f"line {header.line}, of OpenSignals")
    columns = []
    for place, (name, sensor) in enumerate(zip(header.names, header.sensors, strict=True)):
        column = column_of(place, name, kinds[place], None)
        if is_counter(name):
            column = column._replace(role="counter")
        elif not is_digital(name) and sensor.upper().startswith("ECG"):
            column = column._replace(name="ECG")
        elif is_digital(name) or sensor:
            column = column._replace(role="other")
        columns.append(column)
    columns += [column_of(place, "", "empty", None) for place in range(width, len(kinds))]
    return tuple(columns)


def with_stated_lead(
    columns: tuple[Column, ...], statements: Statements, table: Table
) -> tuple[Column, ...]:
    """Return the columns with the name of their only lead from the lines above the rows."""
    signals = [column for column in columns if column.role == "lead"]
    if len(signals) != 1 or signals[0].title or statements.lead is None:
        return columns
    lead = statements.lead
    table.note("lead", lead.value, f"line {lead.line}")
    return tuple(
        column._replace(name=lead.value) if column is signals[0] else column for column in columns
    )
