"""A table whose rows were found: its first rows, and the notes on how it was understood."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.tables.cells import cells_of, is_comment, number_of
from ecgfl_adapters.tables.layout import NOTHING, CsvLayout, Understood
from ecgfl_adapters.tables.sniff import Rows
from ecgfl_adapters.tables.text_file import TextFile


class Table(NamedTuple):
    """A table whose rows were found.

    Parameters
    ----------
    text : TextFile
        The file.
    layout : CsvLayout
        What the site says about such files.
    rows : Rows
        Where the rows begin, and their dialect.
    options : ReadOptions
        How to read the file.
    notes : list of Understood
        Takes what is found out about the file.
    """

    text: TextFile
    layout: CsvLayout
    rows: Rows
    options: ReadOptions
    notes: list[Understood]

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.text.path

    def note(self, what: str, value: str, why: str, layout: Mapping[str, Any] = NOTHING) -> None:
        """Note what was found out; see `Understood`."""
        self.notes.append(Understood(what, value, why, layout))

    def cells(self, line: str) -> list[str]:
        """Return the cells of a line in the table's dialect."""
        return cells_of(line, self.rows.dialect.separator)

    def number(self, cell: str) -> float | None:
        """Return the number in a cell, or None."""
        return number_of(cell, self.rows.dialect.decimal)

    def first_rows(self, lines: int | None = None) -> list[list[str]]:
        """Return the cells of the rows of full width among the first lines of the rows.

        Parameters
        ----------
        lines : int, optional
            Number of lines to look at. Default: all lines of `TextFile.lines`.
        """
        start = self.rows.start
        return [
            cells
            for line in self.text.lines[start : None if lines is None else start + lines]
            if line.strip()
            and not is_comment(line)
            and len(cells := self.cells(line)) == len(self.rows.kinds)
        ]
