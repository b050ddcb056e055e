"""Write results to stdout (tables, or one JSON object), and log to stderr."""

import errno
import io
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, TypeVar

import typer

from ecgfl_cli import logs
from ecgfl_cli.errors import EcgflError, ExitCode, UnusableInput
from ecgfl_cli.logs import Event, LogFormat, LogSettings, event
from ecgfl_cli.printable import printable
from ecgfl_cli.site.home import Home

Item = TypeVar("Item")
SCHEMA_VERSION = 1
PROGRESS_SECONDS = 10.0
"""Time between two lines of progress in a log."""
_STDERR = 2
_log = logging.getLogger(__name__)


@dataclass
class Console:
    """The global options, and the output of a command.

    Attributes
    ----------
    home
        Home of the site or coordinator.
    json
        Whether the result is printed as a JSON object.
    quiet
        Whether only warnings and errors are logged.
    debug
        Whether details are logged, and an error with its traceback.
    log_format
        Form of the lines on stderr.
    verb
        The command that runs, for the JSON schema's name.
    """

    home: Home
    json: bool = False
    quiet: bool = False
    debug: bool = False
    log_format: LogFormat = LogFormat.TEXT
    verb: str = "ecgfl"

    def configure_log(self) -> None:
        """Let the log follow the global options."""
        level = logging.WARNING if self.quiet else logging.DEBUG if self.debug else logging.INFO
        logs.configure(LogSettings(self.log_format, level), _print_on_stderr)

    def say(self, line: str) -> None:
        """Log a message on stderr; nothing with --quiet."""
        _log.info(line)

    def problem(self, line: str) -> None:
        """Log an error on stderr, also with --quiet."""
        _log.error(line, extra=event(Event.PROBLEM))

    def interrupted(self) -> None:
        """Log that the program was interrupted."""
        fields = event(Event.ERROR, code=int(ExitCode.INTERRUPTED), error="KeyboardInterrupt")
        _log.error("interrupted", extra=fields)

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        footer: Sequence[object] | None = None,
        empty: str | None = None,
    ) -> None:
        """Print a table on stdout, unless --json is set; see `print_table`.

        Parameters
        ----------
        empty
            Text to print when there are no rows.
        """
        shown = [[_cell(value) for value in row] for row in rows]
        if not shown and empty is not None:
            self.text(empty)
        if self.json or not shown:
            return
        from ecgfl_cli.tables import print_table  # rich takes longer than the whole of --help

        bottom = None if footer is None else [_cell(value) for value in footer]
        _write(
            sys.stdout, lambda: print_table(sys.stdout, printable(title), columns, shown, bottom)
        )

    def text(self, line: str) -> None:
        """Print a line on stdout; nothing with --json."""
        if not self.json:
            _print(sys.stdout, line)

    def block(self, text: str) -> None:
        """Print several lines on stdout; nothing with --json.

        Names of others in the text must not contain line breaks.
        """
        for line in text.split("\n"):
            self.text(line)

    def result(self, code: ExitCode = ExitCode.DONE, **fields: Any) -> None:
        """Print the JSON object on stdout; nothing without --json.

        Parameters
        ----------
        code
            Exit code of the program; not 0 if a part of the work failed.
        """
        if self.json:
            self._object("error" if code else "ok", {"code": int(code), **fields})

    def track(self, items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
        """Yield the items one by one, and show the progress.

        A terminal shows a progress bar, unless --quiet or --json is set. A log gets a line every
        `PROGRESS_SECONDS`.
        """
        if self.log_format is LogFormat.JSON or not sys.stderr.isatty():
            yield from _logged(items, total, what)
        elif self.quiet or self.json:
            yield from items
        else:
            from ecgfl_cli.progress import progress_bar  # see `table`

            with progress_bar(what, total) as progress:
                yield from progress.track(items, total=total)

    def tracker(self, what: str) -> Callable[[Iterator[Item], int], Iterator[Item]]:
        """Return a function that takes items and their number, and tracks them; see `track`."""
        return lambda items, total: self.track(items, total, what)

    def error(self, error: EcgflError) -> None:
        """Log the error that ends the program and, with --json, print it as an object on stdout."""
        fields = {
            "code": int(error.exit_code),
            "error": type(error).__name__,
            "problem": error.problem,
            "fix": error.fix,
        }
        _log.error(str(error), extra=event(Event.ERROR, **fields))
        if self.json:
            self._object("error", fields)

    def _object(self, status: str, fields: dict[str, Any]) -> None:
        line = json.dumps(
            {"schema": f"ecgfl.{self.verb}/{SCHEMA_VERSION}", "status": status, **fields},
            default=_plain,
        )
        _print(sys.stdout, line)


def console_of(context: typer.Context, verb: str) -> Console:
    """Return the console of the command line.

    Parameters
    ----------
    verb
        The command that runs.
    """
    console = context.obj
    assert isinstance(console, Console)
    console.verb = verb
    return console


def prepare_streams() -> None:
    """Make stdout and stderr accept any text, even if closed or with a narrow encoding."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        continue  # occupies the descriptor of a closed stream, so that no file opened later gets it
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - it is open until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logs.configure(LogSettings(), _print_on_stderr)
    logs.capture_warnings()
    sys.excepthook = _log_traceback


def _log_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    fields = event(Event.ERROR, code=int(ExitCode.BUG), error=kind.__name__)
    _log.critical(f"{kind.__name__}: {error}", exc_info=(kind, error, trace), extra=fields)


def _logged(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield the items one by one, and log how many are done every `PROGRESS_SECONDS`."""
    logged = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - logged >= PROGRESS_SECONDS:
            logged = time.monotonic()
            fields = event(Event.PROGRESS, task=what, done=done, total=total)
            _log.info(f"{what}: {done} of {total}", extra=fields)


def flush_streams(code: int) -> int:
    """Flush stdout and stderr. Return `code`, or another code if the result cannot be written."""
    try:
        _write(sys.stdout, sys.stdout.flush)
    except UnusableInput as error:
        fields = event(Event.ERROR, code=int(error.exit_code), error=type(error).__name__)
        _log.error(str(error), extra=fields)
        code = code or ExitCode.INPUT
    _write(sys.stderr, sys.stderr.flush)
    return code


def _print_on_stderr(line: str) -> None:
    _print(sys.stderr, line)


def _print(stream: TextIO, line: str) -> None:
    _write(stream, lambda: print(printable(line), file=stream, flush=stream is sys.stderr))


def _write(stream: TextIO, write: Callable[[], object]) -> None:
    """Call `write`, which writes to `stream`. If that fails, discard this and all later output.

    A closed pipe (`ecgfl ... | head`) is not an error. A failing stderr is ignored, because it
    cannot be reported. Raises `UnusableInput` if the result cannot be written to stdout for another
    reason.
    """
    try:
        write()
    except OSError as error:
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, stream.fileno())
        os.close(null_device)
        # Windows reports a pipe without a reader as EINVAL.
        is_closed_pipe = isinstance(error, BrokenPipeError) or (
            sys.platform == "win32" and error.errno == errno.EINVAL
        )
        if stream is sys.stdout and not is_closed_pipe:
            raise UnusableInput(
                f"the result cannot be written to stdout: {error.strerror}",
                "Free some space there, and run it again",
            ) from error


def in_words(value: object) -> object:
    """Format a field's value for people: lists and mappings as text, empty values as None."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(item)}" for name, item in value.items()) or None
    if isinstance(value, list | tuple):
        return ", ".join(str(in_words(item)) for item in value) or None
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
    """Convert a fraction into percent; None stays None."""
    return None if share is None else 100 * share


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}"
    return printable(str(value))


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
