"""Reads the rows of a table block by block.

pandas parses a block whose rows are like the first ones; any other block is read line by line.
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
    """Some rows.

    Parameters
    ----------
    line : int
        Number of the first line, from 1.
    numbers : mapping of int to array
        Numbers by column index, shape (rows,), NaN for an empty cell.
    stamps : mapping of int to list of str
        Time stamps by column index, one per row.
    """

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
    """Yield the rows of a table.

    Parameters
    ----------
    text : TextFile
        The file.
    dialect : Dialect
        Its separator and decimal mark.
    start : int
        Index of the line of the first row.
    columns : tuple of Column
        All columns.
    numbers, stamps : set of int
        Indices of the columns of numbers and of time stamps to read.

    Raises
    ------
    FileUnreadable
        For a cell that is not a number, with its line and its value.
    """
    reader = _Reader(text, dialect, columns, numbers, stamps)
    line = 0
    for block in text.blocks():
        first, line = line, line + block.count(b"\n")
        if line > start:
            skipped = max(0, start - first)
            yield from reader.read(block.split(b"\n", skipped)[-1], first + skipped + 1)


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
        """Yield the rows of a block of whole lines, the first of which has the number `line`."""
        if self._width == 1:
            self._refuse_blank_line(block, line)
        if any(mark in block for mark in _COMMENT_MARKS):
            block = b"\n".join(b"" if _COMMENT.match(row) else row for row in block.split(b"\n"))
        if block.strip():
            yield self._fast(block, line) or self._slowly(block, line)

    def _refuse_blank_line(self, block: bytes, line: int) -> None:
        """Raise `FileUnreadable` for a blank line in a single column: it may be a missing sample.

        Blank lines at the end of the file are ignored.
        """
        stripped = block.rstrip(b"\n \t")
        blank = _BLANK.search(b"\n" + stripped)
        if stripped and (self._blank is not None or blank is not None):
            before = stripped[: blank.start() if blank is not None else 0]
            at = self._blank or line + before.count(b"\n")
            raise FileUnreadable(
                self._text.path,
                f"line {at} is blank, which may be a missing sample",
                "Write nan there, or remove the line",
            )
        if block[len(stripped) :].count(b"\n") > 1 and self._blank is None:
            self._blank = line + stripped.count(b"\n") + 1

    def _fast(self, block: bytes, line: int) -> RowBlock | None:
        """Parse a block with pandas; return None if a row may not be like the first ones."""
        import pandas  # takes long to load, so only when rows are read

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
        """Return whether no row is too short. pandas fills up short rows and refuses long ones."""
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
