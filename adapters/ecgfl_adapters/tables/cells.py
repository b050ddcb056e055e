"""Lines into cells, and what a cell may be."""

import csv
import re
from typing import Literal, NamedTuple

from ecgfl_adapters.tables.stamp_forms import COMPACT, stamp_kind

Kind = Literal["number", "empty", "clock", "date", "datetime", "text", "odd"]
"""odd : made of what numbers are made of, but none in this dialect ("1.234,5", "0;1")."""

_ERRORS = ("#n/a", "#na", "#null!", "#div/0!", "#value!", "#num!", "#ref!", "#name?")
"""What a spreadsheet shows in place of a number."""
NOT_A_NUMBER = frozenset(
    {
        "",
        "nan",
        "-nan",
        "+nan",
        "nan(ind)",
        "-nan(ind)",
        "1.#qnan",
        "-1.#qnan",
        "1.#ind",
        "-1.#ind",
        "na",
        "n/a",
        "n.a.",
        "<na>",
    }
    | {
        "null",
        "none",
        "nil",
        "missing",
        "\\n",
        "-",
        "--",
        "---",
        "?",
        "*",
        "**",
        "***",
        ".",
        *_ERRORS,
    }
)
"""What stands where a sample is missing, in lower case."""

COMMENT = re.compile(
    rf"[ \t]*(?:#(?!{'|'.join(re.escape(error[1:]) for error in _ERRORS)})|%|//)", re.IGNORECASE
)
"""The begin of a line that is a comment."""

_NUMBER = {
    mark: re.compile(rf"[+-]?(?:\d+(?:\{mark}\d*)?|\{mark}\d+)(?:[eE][+-]?\d+)?", re.ASCII)
    for mark in ".,"
}
_GROUPS = " \u00a0\u2009\u202f'\u2019_"
"""Separators of thousands that are never a decimal mark: blanks, apostrophes and "_"."""
_GROUPED = {
    mark: re.compile(rf"[+-]?\d{{1,3}}([{_GROUPS}])\d{{3}}(?:\1\d{{3}})*(?:\{mark}\d*)?", re.ASCII)
    for mark in ".,"
}
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]")
_SHORTEST_COMPACT = 14
"""Digits of a date and a time of day without anything between them."""
_TOKEN = re.compile(r'"[^"]*"|\'[^\']*\'|[^ \t\f\v]+')
_OTHER_SEPARATORS = re.compile(r"[;|\t]")


class Dialect(NamedTuple):
    """separator : ",", ";", tab, "|", " " for any run of blanks, "" for a single column. decimal :
    "." or ",".
    """

    separator: str
    decimal: str


def cells_of(line: str, separator: str) -> list[str]:
    """Return the cells of a line, without quotes and blanks around them."""
    if separator == "":
        return [
            line.strip(" ").strip("'\"").strip(" ")
        ]  # a tab is a separator, and the cell beside it an empty one
    if separator == " ":
        return [_bare(cell) for cell in _TOKEN.findall(line)]
    if '"' not in line:
        return [_bare(cell) for cell in line.split(separator)]
    try:
        return [
            _bare(cell)
            for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))
        ]
    except (csv.Error, StopIteration):
        return [_bare(cell) for cell in line.split(separator)]


def _bare(cell: str) -> str:
    return cell.strip().strip("'\"").strip()


def is_comment(line: str) -> bool:
    return COMMENT.match(line) is not None


def number_of(cell: str, decimal: str) -> float | None:
    """Return the number that a bare cell is with this decimal mark, None where it is none. 1 024
    and 1'024 are 1024.

    A comma or a point is never taken for a separator of thousands: it may be a decimal mark.
    """
    if _NUMBER[decimal].fullmatch(cell) is not None:
        return float(cell.replace(",", "."))
    if _GROUPED[decimal].fullmatch(cell) is not None:
        return float(re.sub(f"[{_GROUPS}]", "", cell).replace(",", "."))
    return None


def kind_of(cell: str, decimal: str) -> Kind:
    """What a bare cell is in a table with this decimal mark."""
    if cell.lower() in NOT_A_NUMBER:
        return "empty"
    if number_of(cell, decimal) is not None or _INFINITE.fullmatch(cell):
        return (
            "datetime" if len(cell) >= _SHORTEST_COMPACT and COMPACT.fullmatch(cell) else "number"
        )
    return stamp_kind(cell) or (
        "text" if _LETTERS.search(cell) and not _OTHER_SEPARATORS.search(cell) else "odd"
    )
