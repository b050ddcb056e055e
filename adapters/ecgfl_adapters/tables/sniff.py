"""Finds where the rows of numbers begin in a table, and what separates their cells."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.channel_kinds import is_ecg
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.tables.cells import Dialect, Kind, cells_of, is_comment, kind_of, number_of
from ecgfl_adapters.tables.columns import split_unit
from ecgfl_adapters.tables.layout import CsvLayout
from ecgfl_adapters.tables.statements import statements_of

_ROWS = 200
"""Number of rows that are examined."""

_CONSISTENT = 0.5
"""Minimum share of the rows after the first that must have cells of the same kinds."""

_QUOTED_DECIMAL = re.compile(r'"\s*[+-]?\d*,\d', re.ASCII)
"""A comma that is a decimal mark although commas also separate the columns."""
_LIKE_A_TIME = re.compile(r"\d[:/\-\s]\d")
MAX_COLUMNS = 128
_SEPARATORS = (";", "\t", "|", ",", " ", "")
LAYOUT_FIX = (
    "describe such files once in site.toml under [[csv]] (ecgfl ingest --explain FILE writes a "
    "block to start from)"
)


class Rows(NamedTuple):
    """The rows of a table.

    Parameters
    ----------
    dialect : Dialect
        The separator and the decimal mark.
    start : int
        Index of the first row among the lines of the file.
    kinds : tuple of Kind
        What the cells of each column hold.
    header : int, optional
        Index of the line that names the columns, if a line above the rows does.
    why : str
        What shows the dialect.
    """

    dialect: Dialect
    start: int
    kinds: tuple[Kind, ...]
    header: int | None
    why: str


class _Fit(NamedTuple):
    """The rows of a table in one dialect; `whole` if all rows have the same kinds of cells."""

    dialect: Dialect
    start: int
    kinds: tuple[Kind, ...]
    whole: bool


def holds_rows(lines: Sequence[str]) -> bool:
    """Return whether lines contain rows of numbers in any dialect."""
    return any(_fit(lines, dialect, 0) is not None for dialect in _dialects(CsvLayout("*")))


def sniff(path: Path, lines: Sequence[str], layout: CsvLayout, one_lead_stated: bool) -> Rows:
    """Find the rows among the first lines of a file.

    Parameters
    ----------
    path : Path
        The file, for messages.
    lines : sequence of str
        Its first lines.
    layout : CsvLayout
        What the site says about such files.
    one_lead_stated : bool
        Whether the lines above the rows name a single lead, which means that a comma is a decimal
        mark.

    Raises
    ------
    FileUnreadable
        If there are no rows, or a comma may be a separator or a decimal mark.
    """
    if layout.skip_lines is not None and layout.skip_lines >= len(lines):
        raise FileUnreadable(
            path,
            f"the file has no line after the {layout.skip_lines} of skip_lines",
            "Correct skip_lines in site.toml",
        )
    begin = 0 if layout.skip_lines is None else layout.skip_lines + (layout.header is not False)
    fits = _plausible(
        [fit for one in _dialects(layout) if (fit := _fit(lines, one, begin)) is not None], layout
    )
    if not fits:
        raise _no_rows(path, lines)
    widest = max(fits, key=lambda fit: len(fit.kinds))
    if len(widest.kinds) > MAX_COLUMNS:
        raise FileUnreadable(
            path,
            f"line {widest.start + 1} has {len(widest.kinds)} values, but at most {MAX_COLUMNS} "
            "are expected",
            "Export one sample per line and one lead per column; this file seems to have one lead "
            "per line",
        )
    fit, why = _decide(path, lines, fits, one_lead_stated)
    if layout.separator is not None or layout.decimal is not None:
        why = "the [[csv]] layout in site.toml"
    return Rows(fit.dialect, fit.start, fit.kinds, _header_line(lines, fit.start, layout), why)


def _plausible(fits: list[_Fit], layout: CsvLayout) -> list[_Fit]:
    """Return the fits that no better one replaces."""
    for is_better in (
        lambda fit: fit.dialect.separator == layout.separator,
        lambda fit: fit.whole,
        lambda fit: "text" not in fit.kinds,
    ):
        fits = [fit for fit in fits if is_better(fit)] or fits
    # A dialect is wrong if the first rows are not numbers in it, and the later ones only because
    # cells are empty.
    first: dict[str, int] = {}
    for fit in fits:
        first[fit.dialect.separator] = min(fit.start, first.get(fit.dialect.separator, fit.start))
    fits = [fit for fit in fits if fit.start == first[fit.dialect.separator]]
    if "\t" in first:
        fits = [fit for fit in fits if fit.dialect.separator != " "]
    # Without a decimal mark in the first rows both fit, and nearly every file has points.
    with_points = {
        (fit.dialect.separator, fit.start, fit.kinds) for fit in fits if fit.dialect.decimal == "."
    }
    return [
        fit
        for fit in fits
        if fit.dialect.decimal == "."
        or (fit.dialect.separator, fit.start, fit.kinds) not in with_points
    ]


def _dialects(layout: CsvLayout) -> list[Dialect]:
    separators = _SEPARATORS if layout.separator is None else (layout.separator, "")
    decimals = ".," if layout.decimal is None else layout.decimal
    return [Dialect(separator, decimal) for separator in separators for decimal in decimals]


def _fit(lines: Sequence[str], dialect: Dialect, begin: int) -> _Fit | None:
    """Return the rows from line `begin` on in one dialect; None if there are none."""
    separator, decimal = dialect
    if separator == decimal and not any(_QUOTED_DECIMAL.search(line) for line in lines):
        return None
    if separator not in ("", " ") and not any(separator in line for line in lines):
        return None  # each row would be one cell
    rows = list(zip(range(2 * _ROWS + 1), _kinds_of_lines(lines, dialect, begin), strict=False))
    for index, (number, kinds) in rows[:_ROWS]:
        if not _may_be_row(kinds, separator):
            continue
        after = [other for _, (_, other) in rows[index + 1 : index + 1 + _ROWS]]
        alike = [other for other in after if _alike(kinds, other)]
        whole = len(alike) == len(after)
        if "text" in kinds and (not whole or len(after) < 3):
            continue
        if (after and len(alike) < _CONSISTENT * len(after)) or (not after and index > 1):
            continue
        merged: list[Kind] = [
            next((kind for kind in column if kind != "empty"), "empty")
            for column in zip(kinds, *alike, strict=True)
        ]
        return _Fit(dialect, number, tuple(merged), whole)
    return None


def _kinds_of_lines(
    lines: Sequence[str], dialect: Dialect, begin: int
) -> Iterator[tuple[int, tuple[Kind, ...]]]:
    """Yield the index and the kinds of the cells of each line from `begin` on."""
    for number, line in enumerate(lines):
        if number < begin or not line.strip() or is_comment(line):
            continue
        cells = cells_of(line, dialect.separator)
        kinds = tuple(kind_of(cell, dialect.decimal) for cell in cells)
        if kinds == ("number",) and " " in cells[0]:
            kinds = ("odd",)  # "1 024" may be two columns
        yield number, kinds


def _may_be_row(kinds: tuple[Kind, ...], separator: str) -> bool:
    """Return whether a line may be the first row: it has numbers and nothing that is not read."""
    return (
        (len(kinds) == 1) == (separator == "")
        and "number" in kinds
        and "odd" not in kinds
        and ("text" not in kinds or separator not in ("", " "))
    )


def _alike(first: tuple[Kind, ...], other: tuple[Kind, ...]) -> bool:
    if len(first) != len(other) or "odd" in other:
        return False
    return all(one == two or "empty" in (one, two) for one, two in zip(first, other, strict=True))


def _decide(
    path: Path, lines: Sequence[str], fits: list[_Fit], one_lead_stated: bool
) -> tuple[_Fit, str]:
    """Return the right fit and what shows it; the header decides what a comma means.

    Raises `FileUnreadable` if it does not.
    """
    if len(fits) == 1:
        return fits[0], f"line {fits[0].start + 1} and those after it"
    commas = next((fit for fit in fits if fit.dialect == Dialect(",", ".")), None)
    single = next((fit for fit in fits if fit.dialect == Dialect("", ",")), None)
    if len(fits) == 2 and commas is not None and single is not None:
        header = _header_line(lines, commas.start, CsvLayout("*"))
        names = [] if header is None else cells_of(lines[header].lstrip("#%/ \t"), ",")
        if one_lead_stated:
            return single, "the lines above name one lead, so the comma is a decimal mark"
        if header is not None and len(names) == len(commas.kinds):
            return commas, f"line {header + 1} names {len(names)} columns"
        if len(names) == 1 and (split_unit(names[0]).unit is not None or is_ecg(names[0])):
            line = (header or 0) + 1
            return single, f"line {line} names one lead, so the comma is a decimal mark"
    meanings = {
        "one value with a decimal comma"
        if len(fit.kinds) == 1
        else f"{len(fit.kinds)} values between {fit.dialect.separator!r}"
        for fit in fits
    }
    raise FileUnreadable(
        path,
        f"line {fits[0].start + 1} is {lines[fits[0].start].strip()[:40]!r}, which may be "
        f"{' or '.join(sorted(meanings))}",
        f"Add a header line such as 'time_s,ecg_mV', or {LAYOUT_FIX}",
    )


def _header_line(lines: Sequence[str], start: int, layout: CsvLayout) -> int | None:
    """Return the index of the last line above the rows that is neither blank nor a comment."""
    if layout.header is False:
        return None
    above = range(start - 1, (layout.skip_lines or 0) - 1, -1)
    return next((at for at in above if lines[at].strip() and not is_comment(lines[at])), None)


def _no_rows(path: Path, lines: Sequence[str]) -> FileUnreadable:
    """Return the error for a file without rows, which shows the line that is wrong."""
    content = [at for at, line in enumerate(lines) if line.strip() and not is_comment(line)]
    if not content:
        return FileUnreadable(path, "it has no line of numbers", "Export the signal again")
    numeric = ((at, _separator_of_numbers(lines[at])) for at in content)
    first, separator = next((row for row in numeric if row[1] is not None), (0, None))
    if separator is not None:
        width = len(cells_of(lines[first], separator))
        for at in content:
            count = len(cells_of(lines[at], separator))
            if at > first and count != width:
                return FileUnreadable(
                    path,
                    f"line {at + 1} {lines[at].strip()[:60]!r} has {count} values, the lines "
                    f"before it {width}",
                    f"Correct the line, or {LAYOUT_FIX}",
                )
    at = content[:2][-1]
    for separator in _SEPARATORS[:4]:
        cells = cells_of(lines[at], separator)
        if (mixed := _mixed_marks(cells)) is not None:
            return FileUnreadable(
                path,
                f"line {at + 1} contains both {mixed[0][:40]!r} and {mixed[1][:40]!r}: points and "
                "commas cannot both be decimal marks",
                "Export the table with one decimal mark and without thousands separators",
            )
    for separator in _SEPARATORS[:4]:
        cells = cells_of(lines[at], separator)
        if (column := _unknown_time(cells, separator)) is not None:
            return FileUnreadable(
                path,
                f"line {at + 1}, column {column + 1} is {cells[column][:40]!r}, neither a number "
                "nor a time in a known form",
                "Export times as seconds since the start or as YYYY-MM-DD hh:mm:ss.mmm, or "
                f"{LAYOUT_FIX}",
            )
    # A statement may contain the patient's name.
    is_statement = bool(statements_of([lines[at]], range(0)).all)
    shown = "a statement" if is_statement else repr(lines[at].strip()[:60])
    return FileUnreadable(
        path,
        f"line {at + 1} is {shown}, not a row of numbers",
        f"Give a file with one header line and rows of numbers, or {LAYOUT_FIX}",
    )


def _separator_of_numbers(line: str) -> str | None:
    """Return the separator with which a line has only numbers; None if there is none."""
    for separator in _SEPARATORS:
        if all(kind_of(cell, ".") == "number" for cell in cells_of(line, separator)):
            return separator
    return None


def _unknown_time(cells: list[str], separator: str) -> int | None:
    """Return the index of the only cell that is not a number, if it looks like a time."""
    marks = "." if separator == "," else ",."
    kinds = [
        next((kind for mark in marks if (kind := kind_of(cell, mark)) != "odd"), "odd")
        for cell in cells
    ]
    if len(cells) < 2 or kinds.count("odd") != 1 or kinds.count("number") != len(cells) - 1:
        return None
    column = kinds.index("odd")
    return column if _LIKE_A_TIME.search(cells[column]) else None


def _mixed_marks(cells: list[str]) -> tuple[str, str] | None:
    """Return a cell with a decimal point and one with a decimal comma, if all cells are numbers."""
    cells = [cell for cell in cells if kind_of(cell, ".") != "empty"]
    points = [cell for cell in cells if "." in cell and number_of(cell, ".") is not None]
    commas = [cell for cell in cells if "," in cell and number_of(cell, ",") is not None]
    are_numbers = all(number_of(cell, "," if cell in commas else ".") is not None for cell in cells)
    return (points[0], commas[0]) if points and commas and are_numbers else None
