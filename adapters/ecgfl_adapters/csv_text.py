"""The text of a CSV file: its comments, its header and its rows of numbers."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileMissing, FileUnreadable

_NOT_A_NUMBER = {"", "nan", "na", "n/a", "null", "none"}
LONGEST_COMMENT = 1000
"""Characters of a comment that are looked at: looking for a pair takes the square of the length."""
_LARGEST = 1e30
"""Of a cell; float32, in which samples are kept, ends at 3e38."""
_PAIR = re.compile(r"#+\s*(?P<key>[^:=]+?)\s*:?[:=]\s*(?P<value>.*?)\s*")


@dataclass(frozen=True)
class Table:
    """A file of rows of numbers.

    comments : "key: value" comment lines, keys in lower case.
    names : one a column; empty strings where the file has no header.
    values : shape (rows, columns), float64; NaN for an empty cell.
    """

    comments: dict[str, str]
    names: tuple[str, ...]
    values: NDArray[np.float64]


def decode(path: Path) -> str:
    """The file as text: UTF-8, UTF-16 with a byte order mark, or Latin-1. Raises `FileMissing` and `FileUnreadable`."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FileMissing(path, f"cannot be opened ({error.strerror})", "Check the path and its permissions") from error
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    if b"\0" in raw:
        raise FileUnreadable(path, f"byte {raw.index(0)} is 0: not a text file", "Give the right format with --format")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def read_table(path: Path, text: str) -> Table:
    """Parse `text`, the content of `path`. Raises `FileUnreadable` with the line number and value that is wrong."""
    lines = text.splitlines()
    rows = [number for number, line in enumerate(lines) if line and not line.isspace() and line.lstrip()[0] != "#"]
    if not rows:
        raise FileUnreadable(path, "holds no line of numbers", "Export the signal again")
    first_data = next((number for number in rows[:3] if _is_numeric(lines[number])), None)
    if first_data is None:
        number = rows[:2][-1]
        raise FileUnreadable(
            path,
            f"line {number + 1} is {lines[number].strip()[:60]!r}, not a row of numbers",
            "Give a file with one header line and rows of numbers",
        )
    separator = _separator(lines[first_data])
    data = [number for number in rows if number >= first_data]
    width = len(_cells(lines[first_data], separator))
    header = [number for number in rows if number < first_data]
    names = _names(lines, header, first_data, separator, width)
    body = [lines[number] for number in data]
    if separator in {";", "\t"} and any("," in line for line in body[:10]):
        body = [line.replace(",", ".") for line in body]  # decimal commas
    values = _numbers(path, body, separator, width, data)
    return Table(_comments(lines), names, values)


def _separator(line: str) -> str | None:
    """None stands for any run of blanks."""
    return next((separator for separator in (";", "\t", ",") if separator in line.strip()), None)


def _cells(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    return [cell.strip().strip("'\"").strip() for cell in next(csv.reader([line], delimiter=separator))]


def _is_numeric(line: str) -> bool:
    cells = _cells(line, _separator(line))
    numbers = [cell for cell in cells if cell.lower() not in _NOT_A_NUMBER]
    return bool(numbers) and all(_is_number(cell.replace(",", ".")) for cell in numbers)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _names(lines: list[str], header: list[int], first_data: int, separator: str | None, width: int) -> tuple[str, ...]:
    """From the header line, else from a comment line above the data with as many cells, else from a "Labels" comment."""
    comments = [line.lstrip("# \t") for line in lines[:first_data] if line.lstrip().startswith("#")]
    candidates = [lines[number] for number in header[-1:]] + ([] if width == 1 else comments[::-1])
    candidates += [
        match["value"]
        for line in lines[:first_data]
        if (match := _PAIR.fullmatch(line[:LONGEST_COMMENT])) and match["key"].lower() == "labels"
    ]
    for candidate in candidates:
        cells = _cells(candidate, separator)
        if len(cells) == width and not _is_numeric(candidate):
            return tuple(cells)
    return ("",) * width


def _comments(lines: list[str]) -> dict[str, str]:
    pairs = (_PAIR.fullmatch(line[:LONGEST_COMMENT]) for line in lines if line.startswith("#"))
    return {match["key"].lower(): match["value"] for match in pairs if match is not None}


def _numbers(path: Path, body: list[str], separator: str | None, width: int, data: list[int]) -> NDArray[np.float64]:
    filled = body
    if separator is not None and any(line.endswith(separator) or separator * 2 in line or line[0] == separator for line in body):
        empty = rf"(?:\A|(?<=[{separator}\n]))[ ]*(?=[{separator}\n]|\Z)"
        filled = re.sub(empty, "nan", "\n".join(body)).split("\n")
    try:
        values = np.loadtxt(filled, delimiter=separator, comments=None, ndmin=2, dtype=np.float64)
    except ValueError:
        values = _numbers_slowly(path, body, separator, width, data)
    beyond = np.abs(values) > _LARGEST
    if beyond.any():
        row = int(np.flatnonzero(beyond.any(axis=1))[0])
        raise FileUnreadable(path, f"line {data[row] + 1} holds an infinite value or one beyond {_LARGEST:g}", "Correct the line")
    return values


def _numbers_slowly(path: Path, body: list[str], separator: str | None, width: int, data: list[int]) -> NDArray[np.float64]:
    """Row by row: for files with quotes or words for empty cells, and to say which line and value is wrong."""
    values = np.empty((len(body), width))
    for row, line in enumerate(body):
        cells = _cells(line, separator) if '"' in line or "'" in line or separator is None else line.split(separator)
        if len(cells) != width:
            raise FileUnreadable(
                path,
                f"line {data[row] + 1} {line.strip()[:60]!r} has {len(cells)} values, the lines before it {width}",
                "Correct the line, or export the signal again",
            )
        for column, cell in enumerate(cells):
            try:
                values[row, column] = float(cell)
            except ValueError as error:
                if cell.strip().lower() not in _NOT_A_NUMBER:
                    raise FileUnreadable(
                        path,
                        f"line {data[row] + 1} column {column + 1} is {cell.strip()[:60]!r}, not a number",
                        "Correct the line",
                    ) from error
                values[row, column] = np.nan
    return values
