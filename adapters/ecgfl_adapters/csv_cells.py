"""Lines into cells, and what a cell may be."""

import csv
import re
from typing import Literal, NamedTuple

Kind = Literal["number", "empty", "clock", "date", "datetime", "text", "odd"]
"""odd : made of what numbers are made of, but none in this dialect ("1.234,5", "0;1")."""

NOT_A_NUMBER = frozenset({"", "nan", "na", "n/a", "null", "none", "nil", "-", "--", "---", "?"})
"""What stands where a sample is missing, in lower case."""

COMMENT_MARKS = ("#", "%", "//")

_NUMBER = {mark: re.compile(rf"[+-]?(?:\d+(?:\{mark}\d*)?|\{mark}\d+)(?:[eE][+-]?\d+)?", re.ASCII) for mark in ".,"}
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_DATE = r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})"
_CLOCK = r"\d{1,3}:\d{2}(?::\d{2})?(?:[.,]\d{1,9})?(?:\s*[AaPp]\.?[Mm]\.?)?"
_ZONE = r"(?:\s*(?:Z|[+-]\d{2}:?\d{2}))?"
_TIMES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("clock", re.compile(_CLOCK, re.ASCII)),
    ("date", re.compile(_DATE, re.ASCII)),
    ("datetime", re.compile(rf"{_DATE}[T\s]\s*{_CLOCK}{_ZONE}|{_CLOCK}\s+{_DATE}", re.ASCII)),
)
_LETTERS = re.compile(r"[^\W\d_]")
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
        return "number"
    for kind, pattern in _TIMES:
        if pattern.fullmatch(cell.strip("[]")):
            return kind
    return "text" if _LETTERS.search(cell) and not _OTHER_SEPARATORS.search(cell) else "odd"
