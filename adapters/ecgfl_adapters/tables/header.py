"""The names of a table's columns, from the lines above its rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.channel_kinds import is_ecg
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.tables.cells import cells_of, is_comment, kind_of
from ecgfl_adapters.tables.columns import Column, column_of, is_index, split_unit, titles_of
from ecgfl_adapters.tables.layout import FROM_LAYOUT, NOTHING, CsvLayout, Understood
from ecgfl_adapters.tables.opensignals import OpenSignals, is_counter, is_digital
from ecgfl_adapters.tables.sniff import LAYOUT_FIX, Rows
from ecgfl_adapters.tables.statements import Statements, statements_of, states_rate
from ecgfl_adapters.tables.text_file import TextFile
from ecgfl_adapters.tables.time_units import time_title

_HEAD_ROWS = 200
"""Rows that are looked at."""


class Header(NamedTuple):
    """titles : one a column. first : index of the first line that names columns and units; that of
    the rows without any.
    """

    titles: tuple[str, ...]
    units: tuple[str, ...] | None
    first: int
    why: str


def columns_of_header(
    path: Path, rows: Rows, header: Header, opensignals: OpenSignals | None, notes: list[Understood]
) -> tuple[Column, ...]:
    if opensignals is not None:
        return _opensignals_columns(path, rows, opensignals, notes)
    titles, units = header.titles, header.units
    same = {"skip_lines": header.first, "header": True} if header.first < rows.start else NOTHING
    same = same if any(titles) else {"header": False}
    notes.append(
        Understood(
            "header",
            ", ".join(title or "-" for title in titles) if any(titles) else "none",
            header.why,
            same,
        )
    )
    return tuple(
        column_of(place, titles[place], kind, units[place] if units is not None else None)
        for place, kind in enumerate(rows.kinds)
    )


def header_of(path: Path, text: TextFile, rows: Rows, layout: CsvLayout) -> Header:
    """From the line above the rows, else from a comment with as many cells, else from a "Labels"
    comment.
    """
    width = len(rows.kinds)
    nameless = ("",) * width
    if layout.header is False:
        return Header(nameless, None, rows.start, FROM_LAYOUT)
    if rows.header is not None and not states_rate(text.lines[rows.header]):
        lines = [*_lines_above(text, rows.header)[:1], rows.header]
        found = titles_of([_cells(text.lines[at], rows) for at in lines], width)
        if (
            found is not None
            and any(found[0])
            and (width > 1 or not _is_statement(text.lines[rows.header]))
        ):
            if rows.dialect.separator == " " and any(title[:1] in "([" for title in found[0]):
                _refuse_split_numbers(path, text, rows)  # "ECG (uV)" is one title
            return Header(
                *found, lines[0] if found[1] is not None else rows.header, f"line {rows.header + 1}"
            )
        cells = cells_of(text.lines[rows.header], rows.dialect.separator)
        if width > 1 and (len(cells) > 2 or _are_titles(cells)):
            names = f"{len(cells)} columns" if len(cells) > 1 else "one column"
            commas = (
                "; if the commas are decimal marks, export it with semicolons between the columns"
            )
            raise FileUnreadable(
                path,
                f"line {rows.header + 1} names {names}, but line {rows.start + 1} has {width} "
                "values",
                f"Correct the header line{commas if rows.dialect == (',', '.') else ''}, or "
                f"{LAYOUT_FIX}",
            )
    comments = [at for at, line in enumerate(text.lines[: rows.start]) if is_comment(line)]
    for at in reversed(comments if width > 1 else []):
        found = titles_of([_cells(text.lines[at].strip().lstrip("#%/ \t"), rows)], width)
        if (
            found is not None
            and any(found[0])
            and not all(kind_of(title, ".") == "number" for title in found[0])
        ):
            return Header(*found, rows.start, f"line {at + 1}, a comment")
    labels = statements_of(text.lines[: rows.start], range(rows.start)).one({"labels"})
    if labels is not None and len(cells := cells_of(labels.value, rows.dialect.separator)) == width:
        return Header(tuple(cells), None, rows.start, f"line {labels.line}, a comment")
    _refuse_split_numbers(path, text, rows)
    return Header(nameless, None, rows.start, "no line above the rows has as many cells")


def _are_titles(cells: Sequence[str]) -> bool:
    """Return whether a line names columns, rather than saying something about the file: every cell
    is a name that tables have.
    """
    return all(_is_title(cell) for cell in cells if cell)


def _is_title(cell: str) -> bool:
    name = split_unit(cell)
    return (
        name.unit is not None
        or time_title(cell) is not None
        or is_index(cell)
        or (is_ecg(name.name) and " " not in cell)
    )


def _refuse_split_numbers(path: Path, text: TextFile, rows: Rows) -> None:
    """Columns without names that are parts of numbers: "0,12,0,34" with decimal commas, "1 024"
    with a blank between thousands.

    Raises `FileUnreadable`.
    """
    separator = rows.dialect.separator
    lines = [
        line
        for line in text.lines[rows.start : rows.start + _HEAD_ROWS]
        if line.strip() and not is_comment(line)
    ]
    table = [cells for line in lines if len(cells := cells_of(line, separator)) == len(rows.kinds)]
    if (
        separator not in (",", " ")
        or len(rows.kinds) < 2
        or any(set(cell) & set(".,") for cells in table for cell in cells)
    ):
        return
    first = len(rows.kinds) % 2  # before the pairs may stand a number of the row
    wholes = [cell for cells in table for cell in cells[first::2]]
    parts = [cell for cells in table for cell in cells[first + 1 :: 2]]
    has_zeros = any(len(cell) > 1 and cell.startswith("0") for cell in parts) or "-0" in wholes
    if has_zeros and all(cell.isdigit() and (separator == "," or len(cell) == 3) for cell in parts):
        meaning = (
            "its commas seem to be decimal marks"
            if separator == ","
            else "its blanks seem to separate thousands"
        )
        raise FileUnreadable(
            path,
            f"line {rows.start + 1} is {lines[0].strip()[:40]!r}: {meaning}",
            f"Export the table with semicolons between the columns, or {LAYOUT_FIX}",
        )


def _lines_above(text: TextFile, line: int) -> list[int]:
    return [
        at
        for at in range(line - 1, -1, -1)
        if text.lines[at].strip() and not is_comment(text.lines[at])
    ]


def _cells(line: str, rows: Rows) -> list[str]:
    """Of a header, without or with the separators that end each row."""
    cells = cells_of(line, rows.dialect.separator)
    width = len(rows.kinds)
    if len(cells) < width and all(kind == "empty" for kind in rows.kinds[len(cells) :]):
        return [*cells, *[""] * (width - len(cells))]
    return cells[:width] if not any(cells[width:]) else cells


def _is_statement(line: str) -> bool:
    """Return whether a line above a single column is "key: value" rather than a name."""
    found = statements_of([line], range(0)).all
    return bool(found) and split_unit(line.strip().strip("'\"")).unit is None


def _opensignals_columns(
    path: Path, rows: Rows, header: OpenSignals, notes: list[Understood]
) -> tuple[Column, ...]:
    width = sum(kind != "empty" for kind in rows.kinds)
    if len(header.names) != width:
        raise FileUnreadable(
            path,
            f"line {header.line} names {len(header.names)} columns, but line {rows.start + 1} has "
            f"{width} values",
            "Export the recording again from OpenSignals",
        )
    notes.append(
        Understood("header", ", ".join(header.names), f"line {header.line}, of OpenSignals")
    )
    found = []
    for place, (name, sensor) in enumerate(zip(header.names, header.sensors, strict=True)):
        column = column_of(place, name, rows.kinds[place], None)
        if is_counter(name):
            column = column._replace(role="counter")
        elif is_digital(name):
            column = column._replace(role="other")
        elif sensor.upper().startswith("ECG"):
            column = column._replace(name="ECG")
        elif sensor:
            column = column._replace(role="other")
        found.append(column)
    found += [column_of(place, "", "empty", None) for place in range(width, len(rows.kinds))]
    return tuple(found)


def with_stated_lead(
    columns: tuple[Column, ...], statements: Statements, notes: list[Understood]
) -> tuple[Column, ...]:
    signals = [column for column in columns if column.role == "lead"]
    if len(signals) != 1 or signals[0].title or statements.lead is None:
        return columns
    lead = statements.lead
    notes.append(Understood("lead", lead.value, f"line {lead.line}"))
    return tuple(
        column._replace(name=lead.value) if column is signals[0] else column for column in columns
    )
