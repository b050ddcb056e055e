"""The two streams: results on stdout (a table, or with --json one object), everything else for people on stderr."""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeVar

import typer

from ecgfl_cli.errors import EcgflError, ExitCode
from ecgfl_cli.site.home import Home

Item = TypeVar("Item")
SCHEMA_VERSION = 1


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
            _write(sys.stderr, lambda: print(line, file=sys.stderr, flush=True))

    def problem(self, line: str) -> None:
        """What went wrong with a part of the work; --quiet does not hide it."""
        _write(sys.stderr, lambda: print(f"ecgfl: {line}", file=sys.stderr, flush=True))

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        footer: Sequence[object] | None = None,
        empty: str | None = None,
    ) -> None:
        """Print a table on stdout, unless --json is set; see `print_table`. empty : text to print when there are no rows."""
        shown = [[_cell(value) for value in row] for row in rows]
        if not shown and empty is not None:
            self.text(empty)
        if self.json or not shown:
            return
        from ecgfl_cli.tables import print_table

        bottom = None if footer is None else [_cell(value) for value in footer]
        _write(sys.stdout, lambda: print_table(sys.stdout, title, columns, shown, bottom))

    def text(self, text: str) -> None:
        """A block on stdout; nothing with --json."""
        if not self.json:
            _write(sys.stdout, lambda: print(text))

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

        with progress_bar(what, total) as progress:
            yield from progress.track(items, total=total)

    def error(self, error: EcgflError) -> None:
        """One line on stderr; with --json also the object on stdout."""
        self.problem(str(error))
        if self.json:
            fields = {"code": int(error.exit_code), "error": type(error).__name__, "problem": error.problem, "fix": error.fix}
            self._object("error", fields)

    def _object(self, status: str, fields: dict[str, Any]) -> None:
        line = json.dumps({"schema": f"ecgfl.{self.verb}/{SCHEMA_VERSION}", "status": status, **fields}, default=_plain)
        _write(sys.stdout, lambda: print(line))


def console_of(context: typer.Context, verb: str) -> Console:
    """The console that the global options made, now speaking for `verb`."""
    console = context.obj
    assert isinstance(console, Console)
    console.verb = verb
    return console


def flush_streams() -> None:
    """Flush stdout and stderr. A reader that has closed the pipe (`ecgfl ... | head`) is not an error."""
    for stream in (sys.stdout, sys.stderr):
        _write(stream, stream.flush)


def _write(stream: TextIO, write: Callable[[], object]) -> None:
    """Call `write`, which writes to `stream`. If the reader has closed the pipe, discard this and all later output."""
    try:
        write()
    except OSError as error:
        # Windows reports a pipe without a reader as EINVAL.
        if not isinstance(error, BrokenPipeError) and not (sys.platform == "win32" and error.errno == errno.EINVAL):
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def in_words(value: object) -> object:
    """Format a field's value for people: lists and mappings become text, empty values become None."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(each)}" for name, each in value.items()) or None
    if isinstance(value, list | tuple):
        return ", ".join(str(in_words(each)) for each in value) or None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value == "" else value


def fields_of(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """Flatten a nested record into rows of name and value: {"a": {"b": 1}} becomes [("a.b", 1)]."""
    rows: list[tuple[str, object]] = []
    for name, value in record.items():
        if isinstance(value, Mapping) and value:
            rows += fields_of(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", in_words(value)))
    return rows


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
