"""Lines into cells, and what a cell may be."""

import csv
import re
from typing import Literal, NamedTuple

from ecgfl_adapters.csv_stamp_forms import COMPACT, stamp_kind

Kind = Literal["number", "empty", "clock", "date", "datetime", "text", "odd"]
"""odd : made of what numbers are made of, but none in this dialect ("1.234,5", "0;1")."""

NOT_A_NUMBER = frozenset({"", "nan", "na", "n/a", "null", "none", "nil", "-", "--", "---", "?"})
"""What stands where a sample is missing, in lower case."""

COMMENT_MARKS = ("#", "%", "//")

_NUMBER = {mark: re.compile(rf"[+-]?(?:\d+(?:\{mark}\d*)?|\{mark}\d+)(?:[eE][+-]?\d+)?", re.ASCII) for mark in ".,"}
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]")
_SHORTEST_COMPACT = 14
"""Digits of a date and a time of day without anything between them."""
_TOKEN = re.compile(r'"[^"]*"|\'[^\']*\'|\S+')
_OTHER_SEPARATORS = re.compile(r"[;|\t]")


class Dialect(NamedTuple):
    """separator : ",", ";", tab, "|", " " for any run of blanks, "" for a single column. decimal : "." or ","."""

    separator: str
    decimal: str


def cells_of(line: str, separator: str) -> list[str]:
    """The cells of a line, without quotes and blanks around them."""
    if separator == "":
        return [line.strip(" ").strip("'\"").strip(" ")]  # a tab is a separator, and the cell beside it an empty one
    if separator == " ":
        return [_bare(cell) for cell in _TOKEN.findall(line)]
    if '"' not in line:
        return [_bare(cell) for cell in line.split(separator)]
    try:
        return [_bare(cell) for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    except (csv.Error, StopIteration):
        return [_bare(cell) for cell in line.split(separator)]


def _bare(cell: str) -> str:
    return cell.strip().strip("'\"").strip()


def is_comment(line: str) -> bool:
    return line.lstrip().startswith(COMMENT_MARKS)


def is_number(cell: str, decimal: str) -> bool:
    return _NUMBER[decimal].fullmatch(cell) is not None


def kind_of(cell: str, decimal: str) -> Kind:
    """What a bare cell is in a table with this decimal mark."""
    if cell.lower() in NOT_A_NUMBER:
        return "empty"
    if is_number(cell, decimal) or _INFINITE.fullmatch(cell):
        return "datetime" if len(cell) >= _SHORTEST_COMPACT and COMPACT.fullmatch(cell) else "number"
    return stamp_kind(cell) or ("text" if _LETTERS.search(cell) and not _OTHER_SEPARATORS.search(cell) else "odd")
