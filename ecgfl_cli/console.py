"""The two streams: results on stdout (a table, or with --json one object), everything else for people on stderr."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from ecgfl_cli.errors import EcgflError, ExitCode
from ecgfl_cli.site.home import Home

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

Item = TypeVar("Item")
SCHEMA_VERSION = 1
UNLIMITED_WIDTH = 10_000
"""For a stream that is no terminal: a table that a script or a log takes in is not cut to 80 columns."""


@dataclass
class Console:
    """What was asked for globally, and where output goes. verb : the command that runs, for the JSON schema's name."""

    home: Home
    json: bool = False
    quiet: bool = False
    debug: bool = False
    verb: str = "ecgfl"

    def say(self, line: str) -> None:
        """A line for the person who watches."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def problem(self, line: str) -> None:
        """What went wrong with a part of the work; --quiet does not hide it."""
        print(f"ecgfl: {line}", file=sys.stderr, flush=True)

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        footer: Sequence[object] | None = None,
        empty: str | None = None,
    ) -> None:
        """A table on stdout; nothing with --json. A column whose name ends in a space holds text. empty : said without rows."""
        shown = [[_cell(value) for value in row] for row in rows]
        if not shown and empty is not None:
            self.text(empty)
        if self.json or not shown:
            return
        from rich.table import Table

        table = Table(title=title, title_justify="left", show_footer=footer is not None)
        for place, column in enumerate(columns):
            bottom = "" if footer is None else _cell(footer[place])
            is_text = column.endswith(" ")
            table.add_column(
                column.strip(), bottom, justify="left" if is_text else "right", overflow="fold", no_wrap=place == 0 or not is_text
            )
        for row in shown:
            table.add_row(*row)
        self._rich(sys.stdout).print(table)

    def text(self, text: str) -> None:
        """A block on stdout; nothing with --json."""
        if not self.json:
            print(text)

    def result(self, code: ExitCode = ExitCode.DONE, **fields: Any) -> None:
        """The JSON object on stdout; nothing without --json. code : of the exit to come, where a part of the work failed."""
        if self.json:
            self._object("error" if code else "ok", {"code": int(code), **fields})

    def track(self, items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
        """Pass items on, one by one, with a progress bar on stderr where that is a terminal."""
        if self.quiet or self.json or not sys.stderr.isatty():
            yield from items
            return
        from ecgfl_cli.progress import progress_bar

        with progress_bar(what, self._rich(sys.stderr)) as progress:
            yield from progress.track(items, total=total)

    def error(self, error: EcgflError) -> None:
        """One line on stderr; with --json also the object on stdout."""
        self.problem(str(error))
        if self.json:
            fields = {"code": int(error.exit_code), "error": type(error).__name__, "problem": error.problem, "fix": error.fix}
            self._object("error", fields)

    def _object(self, status: str, fields: dict[str, Any]) -> None:
        print(json.dumps({"schema": f"ecgfl.{self.verb}/{SCHEMA_VERSION}", "status": status, **fields}, default=_plain))

    def _rich(self, stream: Any) -> "RichConsole":
        from rich.console import Console as RichConsole

        return RichConsole(file=stream, highlight=False, width=None if stream.isatty() else UNLIMITED_WIDTH)


def console_of(context: typer.Context, verb: str) -> Console:
    """The console that the global options made, now speaking for `verb`."""
    console = context.obj
    assert isinstance(console, Console)
    console.verb = verb
    return console


def percent(share: float | None) -> float | None:
    """A share of 1 as people read it; None stays None."""
    return None if share is None else 100 * share


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}"
    return str(value)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
