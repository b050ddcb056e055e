"""Divides the lines of a table into cells, and classifies the cells."""

import csv
import re
from contextlib import suppress
from typing import Literal, NamedTuple

from ecgfl_adapters.tables.stamp_forms import COMPACT, stamp_kind

Kind = Literal["number", "empty", "clock", "date", "datetime", "text", "odd"]
"""What a cell holds. "odd" is a text without letters that is not a number in this dialect, such as
"1.234,5" or "0;1".
"""

_ERRORS = ("#n/a", "#na", "#null!", "#div/0!", "#value!", "#num!", "#ref!", "#name?")
"""Errors that a spreadsheet shows instead of a number."""
_MISSING = (
    "nan -nan +nan nan(ind) -nan(ind) 1.#qnan -1.#qnan 1.#ind -1.#ind na n/a n.a. <na> null none "
    "nil missing \\n - -- --- ? * ** *** ."
)
NOT_A_NUMBER = frozenset({"", *_MISSING.split(), *_ERRORS})
"""Texts for a missing sample, in lower case."""

COMMENT = re.compile(
    rf"[ \t]*(?:#(?!{'|'.join(re.escape(error[1:]) for error in _ERRORS)})|%|//)", re.IGNORECASE
)
"""The beginning of a comment line."""

_NUMBER = {
    mark: re.compile(rf"[+-]?(?:\d+(?:\{mark}\d*)?|\{mark}\d+)(?:[eE][+-]?\d+)?", re.ASCII)
    for mark in ".,"
}
_GROUPS = " \u00a0\u2009\u202f'\u2019_"
"""Thousands separators that are never a decimal mark: blanks, apostrophes and "_"."""
_GROUPED = {
    mark: re.compile(rf"[+-]?\d{{1,3}}([{_GROUPS}])\d{{3}}(?:\1\d{{3}})*(?:\{mark}\d*)?", re.ASCII)
    for mark in ".,"
}
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]")
_SHORTEST_COMPACT = 14
"""Minimum length of a date and a time of day that are written as digits only."""
_TOKEN = re.compile(r'"[^"]*"|\'[^\']*\'|[^ \t\f\v]+')
_OTHER_SEPARATORS = re.compile(r"[;|\t]")


class Dialect(NamedTuple):
    """How a table is written.

    Parameters
    ----------
    separator : str
        ",", ";", tab, "|", " " for any run of blanks, or "" for a single column.
    decimal : {".", ","}
        The decimal mark.
    """

    separator: str
    decimal: str


def cells_of(line: str, separator: str) -> list[str]:
    """Return the cells of a line, without quotes and blanks around them."""
    if separator == "":
        return [line.strip(" ").strip("'\"").strip(" ")]  # a tab would separate two cells
    if separator == " ":
        return [_bare(cell) for cell in _TOKEN.findall(line)]
    cells = line.split(separator)
    if '"' in line:
        with suppress(csv.Error, StopIteration):
            cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    return [_bare(cell) for cell in cells]


def _bare(cell: str) -> str:
    return cell.strip().strip("'\"").strip()


def is_comment(line: str) -> bool:
    """Return whether a line is a comment."""
    return COMMENT.match(line) is not None


def number_of(cell: str, decimal: str) -> float | None:
    """Return the number in a cell, or None if the cell is not a number.

    "1 024" and "1'024" are 1024. A comma or a point is never a thousands separator, because it may
    be a decimal mark.
    """
    if _NUMBER[decimal].fullmatch(cell) is not None:
        return float(cell.replace(",", "."))
    if _GROUPED[decimal].fullmatch(cell) is not None:
        return float(re.sub(f"[{_GROUPS}]", "", cell).replace(",", "."))
    return None


def kind_of(cell: str, decimal: str) -> Kind:
    """Return what a cell holds in a table with this decimal mark."""
    if cell.lower() in NOT_A_NUMBER:
        return "empty"
    if number_of(cell, decimal) is not None or _INFINITE.fullmatch(cell):
        return (
            "datetime" if len(cell) >= _SHORTEST_COMPACT and COMPACT.fullmatch(cell) else "number"
        )
    return stamp_kind(cell) or (
        "text" if _LETTERS.search(cell) and not _OTHER_SEPARATORS.search(cell) else "odd"
    )
