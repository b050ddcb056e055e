"""Print tables for people. Numbers, identifiers and words are printed in full at every width."""

import errno
import textwrap
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

UNLIMITED_WIDTH = 10_000
"""Width in characters if the stream is not a terminal: scripts and logs get the whole table."""

SEVERITY_STYLES = {
    "error": "red",
    "warning": "yellow",
    "rejected": "red",
    "unreadable": "red",
    "failed": "red",
}
"""Colours of cells that hold a severity or a failed state; other cells have no colour."""

_SMALLEST_VALUE = 24
"""Minimum width in characters of the value beside its name in a block."""


class _TableConsole(Console):
    def on_broken_pipe(self) -> None:
        """Raise `BrokenPipeError` for the caller to handle; rich would end the program."""
        raise BrokenPipeError(errno.EPIPE, "the reader of the table closed the pipe")


def print_table(
    stream: TextIO,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    footer: Sequence[str] | None = None,
) -> None:
    """Print a table that fits the width of `stream`.

    Tries a table with borders, then one without borders, then prints each row as a block of "name
    value" lines.

    Parameters
    ----------
    columns : titles. A title that ends in a space marks a text column, which is wrapped between
    words. The others hold numbers.
    rows : one cell for each column.
    footer : cells of the last row, such as totals.
    """
    console = _TableConsole(
        file=stream,
        highlight=False,
        width=None if stream.isatty() else UNLIMITED_WIDTH,
        markup=False,
    )
    everything = [*rows, footer] if footer is not None else list(rows)
    for has_borders in (True, False):
        widths = _widths(columns, everything, console.width - _frame(len(columns), has_borders))
        if widths is not None:
            console.print(_table(title, columns, rows, footer, widths, has_borders))
            return
    _print_blocks(console, title, columns, everything)


def _frame(columns: int, has_borders: bool) -> int:
    """Return the characters of a line outside the cells: borders, or two spaces between cells."""
    return 3 * columns + 1 if has_borders else 2 * (columns - 1)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], space: int) -> list[int] | None:
    """Return the width of each column; None if `space` is too narrow for a number or word."""
    smallest, largest = [], []
    for place, title in enumerate(columns):
        cells = [row[place] for row in rows]
        widest = max(map(cell_len, cells), default=0)
        word = (
            max((_longest_word(cell) for cell in cells), default=0)
            if title.endswith(" ")
            else widest
        )
        smallest.append(max(word, _longest_word(title)))
        largest.append(max(widest, cell_len(title.strip())))
    spare = space - sum(smallest)
    if spare < 0:
        return None
    widths = smallest
    while spare > 0:
        place = max(range(len(widths)), key=lambda place: largest[place] - widths[place])
        if widths[place] >= largest[place]:
            break
        widths[place] += 1
        spare -= 1
    return widths


def _longest_word(text: str) -> int:
    return max((cell_len(word) for word in text.split()), default=0)


def _table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    footer: Sequence[str] | None,
    widths: Sequence[int],
    has_borders: bool,
) -> Table:
    table = Table(
        title=Text(title),
        title_justify="left",
        show_footer=footer is not None,
        box=box.HEAVY_HEAD if has_borders else None,
        padding=(0, 1) if has_borders else (0, 2, 0, 0),
        pad_edge=has_borders,
    )
    for place, column in enumerate(columns):
        table.add_column(
            Text(column.strip()),
            Text("" if footer is None else footer[place]),
            justify="left" if column.endswith(" ") else "right",
            width=widths[place],
        )
    for row in rows:
        table.add_row(*(_styled(cell) for cell in row))
    return table


def _styled(cell: str) -> Text:
    return Text(cell, style=SEVERITY_STYLES.get(cell, ""))


def _print_blocks(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print each cell as a line "name  value", with an empty line between rows.

    Long text is wrapped between words.
    """
    names = [column.strip() for column in columns]
    indent = min(max(map(cell_len, names)) + 2, max(2, console.width - _SMALLEST_VALUE))
    console.print(Text(title, style="italic"), soft_wrap=True)
    for number, row in enumerate(rows):
        if number:
            console.print()
        for name, cell in zip(names, row, strict=True):
            if not cell:
                continue
            lines = _wrapped(cell, console.width - indent)
            gap = " " * max(1, indent - cell_len(name))
            first = Text(f"{name}{gap}").append_text(_styled(lines[0]))
            console.print(first, soft_wrap=True)
            for line in lines[1:]:
                console.print(Text(" " * indent + line), soft_wrap=True)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False) or [
        ""
    ]
