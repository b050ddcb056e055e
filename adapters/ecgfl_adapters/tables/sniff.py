"""Where the rows of numbers begin, and what separates them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.channel_kinds import is_ecg
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.tables.cells import Dialect, Kind, cells_of, is_comment, kind_of, number_of
from ecgfl_adapters.tables.columns import split_unit
from ecgfl_adapters.tables.layout import CsvLayout
from ecgfl_adapters.tables.statements import statements_of

_ROWS = 200
"""Rows that are looked at."""

_CONSISTENT = 0.5
"""Share of the rows after the first that must look like it."""

_QUOTED_DECIMAL = re.compile(r'"\s*[+-]?\d*,\d', re.ASCII)
"""A comma that is a decimal mark beside others that separate columns."""
_LIKE_A_TIME = re.compile(r"\d[:/\-\s]\d")
MAX_COLUMNS = 128
_SEPARATORS = (";", "\t", "|", ",", " ", "")
LAYOUT_FIX = (
    "describe such files once in site.toml under [[csv]] (ecgfl ingest --explain FILE writes a "
    "block to start from)"
)


class Rows(NamedTuple):
    """The rows of a table.

    start : index of the first row among the file's lines. kinds : of each column. why : what speaks
    for the dialect.
    header : index of the line that names the columns, if there is one beside the rows.
    """

    dialect: Dialect
    start: int
    kinds: tuple[Kind, ...]
    header: int | None
    why: str


class _Fit(NamedTuple):
    dialect: Dialect
    start: int
    kinds: tuple[Kind, ...]
    whole: bool


def holds_rows(lines: Sequence[str]) -> bool:
    """Return whether there are rows of numbers in any dialect, be it clear which or not."""
    return any(_fit(lines, dialect, None) is not None for dialect in _dialects(CsvLayout("*")))


def sniff(path: Path, lines: Sequence[str], layout: CsvLayout, one_lead_stated: bool) -> Rows:
    """Find the rows among a file's first `lines`.

    layout : what the site says about such files. one_lead_stated : whether the lines above name the
    one lead of the file, which settles that a comma is a decimal mark. Raises `FileUnreadable`
    where no rows are found, and where a comma may be either.
    """
    if layout.skip_lines is not None and layout.skip_lines >= len(lines):
        raise FileUnreadable(
            path,
            f"has no line after the {layout.skip_lines} of skip_lines",
            "Correct skip_lines in site.toml",
        )
    begin = None if layout.skip_lines is None else layout.skip_lines + (layout.header is not False)
    fits = [
        fit for dialect in _dialects(layout) if (fit := _fit(lines, dialect, begin)) is not None
    ]
    if any(fit.dialect.separator == layout.separator for fit in fits):
        fits = [fit for fit in fits if fit.dialect.separator == layout.separator]
    if any(fit.whole for fit in fits):
        fits = [fit for fit in fits if fit.whole]
    if any("text" not in fit.kinds for fit in fits):
        fits = [fit for fit in fits if "text" not in fit.kinds]
    # A dialect in which the first rows make no sense, and the later ones only because cells are
    # empty, is the wrong one.
    fits = [
        fit
        for fit in fits
        if fit.start
        == min(each.start for each in fits if each.dialect.separator == fit.dialect.separator)
    ]
    if any(fit.dialect.separator == "\t" for fit in fits):
        fits = [fit for fit in fits if fit.dialect.separator != " "]
    # Without a decimal mark in sight, either is right; a point is what nearly every file goes on
    # with.
    fits = [fit for fit in fits if fit.dialect.decimal == "." or not _same_with_a_point(fit, fits)]
    if not fits:
        raise _no_rows(path, lines)
    widest = max(fits, key=lambda fit: len(fit.kinds))
    if len(widest.kinds) > MAX_COLUMNS:
        raise FileUnreadable(
            path,
            f"line {widest.start + 1} has {len(widest.kinds)} values, more than the {MAX_COLUMNS} "
            "that are expected at most",
            "Export one sample a line and one lead a column: this file seems to have them the "
            "other way round",
        )
    fit, why = _decide(path, lines, fits, one_lead_stated)
    if layout.separator is not None or layout.decimal is not None:
        why = "the [[csv]] layout in site.toml"
    return Rows(fit.dialect, fit.start, fit.kinds, _header_line(lines, fit.start, layout), why)


def _dialects(layout: CsvLayout) -> list[Dialect]:
    separators = _SEPARATORS if layout.separator is None else (layout.separator, "")
    decimals = ".," if layout.decimal is None else layout.decimal
    return [Dialect(separator, decimal) for separator in separators for decimal in decimals]


def _fit(lines: Sequence[str], dialect: Dialect, begin: int | None) -> _Fit | None:
    if dialect.separator == dialect.decimal and not any(
        _QUOTED_DECIMAL.search(line) for line in lines
    ):
        return None
    if dialect.separator not in ("", " ") and not any(dialect.separator in line for line in lines):
        return None  # each row would be one cell
    rows: list[tuple[int, tuple[Kind, ...]]] = []
    for number, line in enumerate(lines):
        if number < (begin or 0) or not line.strip() or is_comment(line):
            continue
        cells = cells_of(line, dialect.separator)
        kinds = tuple(kind_of(cell, dialect.decimal) for cell in cells)
        if kinds == ("number",) and " " in cells[0]:
            kinds = ("odd",)  # "1 024" may be two columns
        rows.append((number, kinds))
        if len(rows) > 2 * _ROWS:
            break
    for place, (number, kinds) in enumerate(rows[:_ROWS]):
        if (len(kinds) == 1) != (dialect.separator == ""):
            continue
        if (
            "number" not in kinds
            or "odd" in kinds
            or ("text" in kinds and dialect.separator in ("", " "))
        ):
            continue
        after = [other for _, other in rows[place + 1 : place + 1 + _ROWS]]
        like = [_alike(kinds, other) for other in after]
        whole = all(like)
        if "text" in kinds and (not whole or len(after) < 3):
            continue
        if (after and sum(like) < _CONSISTENT * len(after)) or (not after and place > 1):
            continue
        return _Fit(
            dialect,
            number,
            _merged([kinds, *(each for each, good in zip(after, like, strict=True) if good)]),
            whole,
        )
    return None


def _alike(first: tuple[Kind, ...], other: tuple[Kind, ...]) -> bool:
    if len(first) != len(other) or "odd" in other:
        return False
    return all(one == two or "empty" in (one, two) for one, two in zip(first, other, strict=True))


def _merged(rows: list[tuple[Kind, ...]]) -> tuple[Kind, ...]:
    return tuple(
        next((kind for kind in column if kind != "empty"), "empty")
        for column in zip(*rows, strict=True)
    )


def _same_with_a_point(fit: _Fit, fits: list[_Fit]) -> bool:
    twin = Dialect(fit.dialect.separator, ".")
    return any(
        other.dialect == twin and (other.start, other.kinds) == (fit.start, fit.kinds)
        for other in fits
    )


def _decide(
    path: Path, lines: Sequence[str], fits: list[_Fit], one_lead_stated: bool
) -> tuple[_Fit, str]:
    """Return the only fit, or the meaning of the comma that the header decides."""
    row = f"line {fits[0].start + 1} and those after it"
    if len(fits) == 1:
        return fits[0], row
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
            return (
                single,
                f"line {(header or 0) + 1} names one lead, so the comma is a decimal mark",
            )
    shown = lines[fits[0].start].strip()[:40]
    raise FileUnreadable(
        path,
        f"line {fits[0].start + 1} is {shown!r}, which may be "
        f"{' or '.join(sorted({_told(fit) for fit in fits}))}",
        f"Add a header line such as 'time_s,ecg_mV', or {LAYOUT_FIX}",
    )


def _told(fit: _Fit) -> str:
    many = len(fit.kinds)
    return (
        "one value with a decimal comma"
        if many == 1
        else f"{many} values between {fit.dialect.separator!r}"
    )


def _header_line(lines: Sequence[str], start: int, layout: CsvLayout) -> int | None:
    """Return the last line above the rows that is neither blank nor a comment."""
    if layout.header is False:
        return None
    first = layout.skip_lines or 0
    return next(
        (
            number
            for number in range(start - 1, first - 1, -1)
            if lines[number].strip() and not is_comment(lines[number])
        ),
        None,
    )


def _no_rows(path: Path, lines: Sequence[str]) -> FileUnreadable:
    content = [
        (number, line) for number, line in enumerate(lines) if line.strip() and not is_comment(line)
    ]
    if not content:
        return FileUnreadable(path, "holds no line of numbers", "Export the signal again")
    fix = f"Give a file with one header line and rows of numbers, or {LAYOUT_FIX}"
    numeric = [
        (number, line, found)
        for number, line in content
        if (found := _numbers_in(line)) is not None
    ]
    if numeric:
        number, line, (separator, width) = numeric[0]
        other = next(
            (
                (at, text)
                for at, text in content
                if at > number and len(cells_of(text, separator)) != width
            ),
            None,
        )
        if other is not None:
            return FileUnreadable(
                path,
                f"line {other[0] + 1} {other[1].strip()[:60]!r} has "
                f"{len(cells_of(other[1], separator))} values, "
                f"the lines before it {width}",
                f"Correct the line, or {LAYOUT_FIX}",
            )
    number, line = content[:2][-1]
    mixed = _mixed_marks(line)
    if mixed is not None:
        return FileUnreadable(
            path,
            f"line {number + 1} holds both {mixed[0][:40]!r} and {mixed[1][:40]!r}: points and "
            "commas are not both decimal marks",
            "Export the table with one decimal mark, and without thousands separators",
        )
    odd = _odd_cell(line)
    if odd is not None:
        return FileUnreadable(
            path,
            f"line {number + 1}, column {odd[0] + 1} is {odd[1][:40]!r}, neither a number nor a "
            "time in a form that is read",
            "Export times as seconds since the start or as YYYY-MM-DD hh:mm:ss.mmm, or "
            f"{LAYOUT_FIX}",
        )
    shown = (
        "a statement" if statements_of([line], range(0)).all else repr(line.strip()[:60])
    )  # which may name the patient
    return FileUnreadable(path, f"line {number + 1} is {shown}, not a row of numbers", fix)


def _odd_cell(line: str) -> tuple[int, str] | None:
    """Place and text of the one cell that keeps a line from being a row of numbers and looks like a
    time: it has no letters.
    """
    for separator in _SEPARATORS[:4]:
        cells = cells_of(line, separator)
        kinds = [kind_of(cell, "." if separator == "," else ",") for cell in cells]
        kinds = [
            kind if kind != "odd" else kind_of(cell, ".")
            for cell, kind in zip(cells, kinds, strict=True)
        ]
        if len(cells) > 1 and kinds.count("odd") == 1 and kinds.count("number") == len(cells) - 1:
            place = kinds.index("odd")
            return (place, cells[place]) if _LIKE_A_TIME.search(cells[place]) else None
    return None


def _mixed_marks(line: str) -> tuple[str, str] | None:
    """Find a cell with a decimal point and one with a decimal comma in a line of numbers."""
    for separator in _SEPARATORS[:4]:
        cells = [cell for cell in cells_of(line, separator) if kind_of(cell, ".") != "empty"]
        points = [cell for cell in cells if "." in cell and number_of(cell, ".") is not None]
        commas = [cell for cell in cells if "," in cell and number_of(cell, ",") is not None]
        if (
            points
            and commas
            and all(
                number_of(cell, mark) is not None
                for cell in cells
                for mark in (".,"[cell in commas])
            )
        ):
            return points[0], commas[0]
    return None


def _numbers_in(line: str) -> tuple[str, int] | None:
    for separator in _SEPARATORS:
        cells = cells_of(line, separator)
        if all(kind_of(cell, ".") == "number" for cell in cells):
            return separator, len(cells)
    return None
