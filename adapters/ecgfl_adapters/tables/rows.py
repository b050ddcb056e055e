"""The rows of a table, some megabytes at a time: fast where they are as the sniffer saw them, else
line by line.
"""

import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.tables.cells import (
    COMMENT,
    NOT_A_NUMBER,
    Dialect,
    cells_of,
    is_comment,
    number_of,
)
from ecgfl_adapters.tables.columns import Column
from ecgfl_adapters.tables.sniff import LAYOUT_FIX
from ecgfl_adapters.tables.text_file import TextFile

_COMMENT = re.compile(COMMENT.pattern.encode(), re.IGNORECASE)
_COMMENT_MARKS = (b"#", b"%", b"//")
_EMPTY = sorted(
    {
        form
        for word in NOT_A_NUMBER
        for form in (word, word.upper(), word.capitalize(), "NaN", "N/A", "n/a")
    }
)
_AROUND = "'\" "
_BLANK = re.compile(rb"\n[ \t]*\n")
_NEVER = "\x1f"
"""Stands for the separator of a single column."""


class RowBlock(NamedTuple):
    """line : of the first row, from 1. numbers, stamps : by column index, shape (rows,)."""

    line: int
    numbers: Mapping[int, NDArray[np.float64]]
    stamps: Mapping[int, list[str]]


def read_rows(
    text: TextFile,
    dialect: Dialect,
    start: int,
    columns: tuple[Column, ...],
    numbers: set[int],
    stamps: set[int],
) -> Iterator[RowBlock]:
    """The columns at `numbers` and `stamps` of all rows from line `start`, from 0, on.

    An empty cell is NaN. Raises `FileUnreadable` with the line and the value that is wrong.
    """
    reader = _Reader(text, dialect, columns, numbers, stamps)
    line = 0
    for block in text.blocks():
        here, count = line, block.count(b"\n")
        line += count
        if line <= start:
            continue
        if here < start:
            block = _after(block, start - here)
            here = start
        yield from reader.read(block, here + 1)


def _after(block: bytes, lines: int) -> bytes:
    at = -1
    for _ in range(lines):
        at = block.index(b"\n", at + 1)
    return block[at + 1 :]


class _Reader:
    def __init__(
        self,
        text: TextFile,
        dialect: Dialect,
        columns: tuple[Column, ...],
        numbers: set[int],
        stamps: set[int],
    ) -> None:
        self._text = text
        self._dialect = dialect
        self._width = len(columns)
        self._numbers = sorted(numbers)
        self._stamps = sorted(stamps)
        plain = {
            column.place
            for column in columns
            if column.kind == "number" and column.place not in stamps
        }
        self._types = {
            column.place: "float64" if column.place in plain | numbers else "str"
            for column in columns
        }
        self._is_plain = all(column.kind != "text" for column in columns)
        self._blank: int | None = None

    def read(self, block: bytes, line: int) -> Iterator[RowBlock]:
        if self._width == 1:
            self._refuse_blank_line(block, line)
        if any(mark in block for mark in _COMMENT_MARKS):
            block = b"\n".join(b"" if _COMMENT.match(each) else each for each in block.split(b"\n"))
        if block.strip():
            yield self._fast(block, line) or self._slowly(block, line)

    def _refuse_blank_line(self, block: bytes, line: int) -> None:
        """In a single column a blank line may be a missing sample; at the end of the file it is
        none.
        """
        stripped = block.rstrip(b"\n \t")
        found = _BLANK.search(b"\n" + stripped)
        if stripped and (self._blank is not None or found is not None):
            at = self._blank or line + stripped[: found.start() if found is not None else 0].count(
                b"\n"
            )
            raise FileUnreadable(
                self._text.path,
                f"line {at} is blank, which may be a missing sample",
                "Write nan there, or remove the line",
            )
        if block[len(stripped) :].count(b"\n") > 1 and self._blank is None:
            self._blank = line + stripped.count(b"\n") + 1

    def _fast(self, block: bytes, line: int) -> RowBlock | None:
        """None where a row is not as the sniffer saw the first ones, or may not be."""
        import pandas

        separator = self._dialect.separator
        try:
            frame = pandas.read_csv(
                BytesIO(block),
                header=None,
                sep=r"\s+" if separator == " " else separator or _NEVER,
                decimal=self._dialect.decimal,
                dtype=self._types,
                na_values=_EMPTY,
                keep_default_na=False,
                skipinitialspace=True,
                skip_blank_lines=True,
                low_memory=False,
                engine="c",
                encoding="utf-8",
                encoding_errors="replace",
            )
        except (ValueError, OverflowError):  # among them pandas' own ParserError
            return None
        if frame.shape[1] != self._width or not self._is_full(block, len(frame)):
            return None
        numbers = {place: frame[place].to_numpy() for place in self._numbers}
        if any(np.isinf(values).any() for values in numbers.values()):
            return None
        stamps = {place: frame[place].str.strip(_AROUND).tolist() for place in self._stamps}
        if not all(isinstance(cell, str) for cells in stamps.values() for cell in cells):
            return None
        return RowBlock(line, numbers, stamps)

    def _is_full(self, block: bytes, rows: int) -> bool:
        """Return whether no row was too short: pandas fills it up, but refuses one that is too
        long.
        """
        separator = self._dialect.separator
        if self._width == 1:
            return True
        if separator == " ":
            return len(block.split()) == self._width * rows
        # A separator in quotes would be counted, but numbers and times hold none.
        return (self._is_plain or b'"' not in block) and block.count(separator.encode()) == (
            self._width - 1
        ) * rows

    def _slowly(self, block: bytes, line: int) -> RowBlock:
        numbers: dict[int, list[float]] = {place: [] for place in self._numbers}
        stamps: dict[int, list[str]] = {place: [] for place in self._stamps}
        for at, row in enumerate(block.decode("utf-8", "replace").split("\n"), start=line):
            if not row.strip() or is_comment(row):
                continue
            cells = cells_of(row, self._dialect.separator)
            if len(cells) != self._width and (
                len(cells) < self._width or any(cells[self._width :])
            ):
                raise FileUnreadable(
                    self._text.path,
                    f"line {at} {row.strip()[:60]!r} has {len(cells)} values, the lines before it "
                    f"{self._width}",
                    "Correct the line, or export the signal again",
                )
            for place in self._numbers:
                numbers[place].append(self._number(cells[place], at, place))
            for place in self._stamps:
                stamps[place].append(cells[place])
        return RowBlock(
            line, {place: np.array(values, np.float64) for place, values in numbers.items()}, stamps
        )

    def _number(self, cell: str, line: int, place: int) -> float:
        value = number_of(cell, self._dialect.decimal)
        if value is not None and np.isfinite(value):
            return value
        if cell.lower() in NOT_A_NUMBER:
            return float("nan")
        if cell.lower().lstrip("+-") in ("inf", "infinity") or value is not None:
            raise FileUnreadable(
                self._text.path, f"line {line} holds an infinite value", "Correct the line"
            )
        mark = "a point" if self._dialect.decimal == "." else "a comma"
        fix = (
            f"Correct the line; decimals have {mark} here, for other files {LAYOUT_FIX}"
            if set(cell) & set(".,")
            else "Correct the line"
        )
        raise FileUnreadable(
            self._text.path, f"line {line} column {place + 1} is {cell[:60]!r}, not a number", fix
        )
