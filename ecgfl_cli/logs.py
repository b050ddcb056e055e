"""Write log records to stderr: as lines for people, or as JSON lines for programs.

Modules log with `logging.getLogger(__name__)`. `configure` is called once, by the program. A record
may carry fields: those of the call (`extra=event(...)`) and those of the context (`log_fields`).
"""

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from ecgfl_cli.printable import printable

PACKAGES = ("ecgfl_cli", "ecgfl_adapters")
"""The loggers whose level follows --quiet and --debug. Other libraries log warnings and errors."""
PROGRAM = "ecgfl"
"""Is written before an error, so that people see which program it comes from."""


class LogFormat(StrEnum):
    """Form of the lines on stderr."""

    TEXT = "text"
    JSON = "json"


class Event(StrEnum):
    """Names of events, by which programs recognise JSON lines.

    The fields of each event are in docs/commands.md.
    """

    ERROR = "error"
    PROBLEM = "problem"
    PROGRESS = "progress"
    READY = "ready"
    RUN_RESUMED = "run-resumed"
    RUN_STARTED = "run-started"
    RUN_ENDED = "run-ended"
    WAITING_FOR_HOURS = "waiting-for-hours"
    WAITING_FOR_SITES = "waiting-for-sites"
    SITE_CONNECTED = "site-connected"
    SITE_LEFT = "site-left"
    SITE_REVOKED = "site-revoked"
    SITES_UNREADABLE = "sites-unreadable"
    ROUND_STARTED = "round-started"
    ROUND_FINISHED = "round-finished"
    REPLY_DROPPED = "reply-dropped"
    SITE_DEVIATES = "site-deviates"
    VERDICT = "verdict"
    CONNECTED = "connected"
    RETRYING = "retrying"
    REQUEST_WITHDRAWN = "request-withdrawn"
    TRAINED = "trained"
    MEASURED = "measured"
    MODEL_RECEIVED = "model-received"
    MODEL_JUDGED = "model-judged"
    RUN_OVER = "run-over"
    ENGINE_STARTED = "engine-started"


def event(name: Event, **fields: object) -> dict[str, object]:
    """Return the fields of a record, for `extra` of a logging call."""
    return {"event": name, **fields}


_context: ContextVar[Mapping[str, object]] = ContextVar("log_fields", default=MappingProxyType({}))


@contextmanager
def log_fields(**fields: object) -> Iterator[None]:
    """Add fields to the records that this context logs.

    A new thread has them only if it runs in a copy of the context.

    Parameters
    ----------
    **fields
        `source` is shown to people before the message: a site, the coordinator, a trial.
    """
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


_STANDARD = vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "taskName"}


def fields_of_record(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields that a record carries beyond those of every record."""
    own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {**_context.get(), **own}


def _time(record: logging.LogRecord, precision: str) -> str:
    """Return a record's time, local with its offset from UTC, by ISO 8601."""
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec=precision)


def _traceback(record: logging.LogRecord) -> str | None:
    if not record.exc_info:
        return None
    return logging.Formatter().formatException(record.exc_info)


def _plain(value: object) -> object:
    """Return a value that JSON has no form for: a number of numpy as Python's, others as text."""
    return value.item() if hasattr(value, "item") else str(value)


class TextFormatter(logging.Formatter):
    """Formats a record as a line for people, followed by the lines of its traceback.

    Parameters
    ----------
    has_time : bool
        Whether the line begins with the time and the level, as in a log file.
    """

    def __init__(self, has_time: bool) -> None:
        super().__init__()
        self._has_time = has_time

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines, in which everything is escaped that could harm a terminal."""
        message = printable(record.getMessage())
        source = fields_of_record(record).get("source")
        if record.levelno >= logging.ERROR and record.name.startswith(PACKAGES):
            message = f"{PROGRAM}: {message}"
        elif source is not None:
            message = f"{printable(str(source))}: {message}"
        if self._has_time:
            message = f"{_time(record, 'seconds')} {record.levelname} {message}"
        trace = _traceback(record)
        lines = [] if trace is None else [printable(line) for line in trace.splitlines()]
        return "\n".join([message, *lines])


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object in ASCII: a line that no name can break or disguise."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object: time, level, logger, event, message and the record's fields."""
        fields = fields_of_record(record)
        entry: dict[str, object] = {
            "time": _time(record, "milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": fields.pop("event", None),
            "message": record.getMessage(),
        }
        trace = _traceback(record)
        if trace is not None:
            entry["traceback"] = trace
        return json.dumps(
            {**entry, **{k: v for k, v in fields.items() if k not in entry}}, default=_plain
        )


class LineHandler(logging.Handler):
    """Passes each line of a record to a function.

    Parameters
    ----------
    write : callable
        Writes a line to stderr.
    formatter : logging.Formatter
        Formats the records.
    """

    def __init__(self, write: Callable[[str], None], formatter: logging.Formatter) -> None:
        super().__init__()
        self._write = write
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            for line in self.format(record).split("\n"):
                self._write(line)
        except Exception:  # noqa: BLE001 - as in logging's own handlers: no record may end the program
            self.handleError(record)


def write_line(line: str) -> None:
    """Write a line to stderr."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class LogSettings:
    """What is logged, and in which form.

    Attributes
    ----------
    log_format
        Form of the lines. Text has times unless stderr is a terminal.
    level
        Least level of ecgfl's own records, for example `logging.INFO`.
    """

    log_format: LogFormat = LogFormat.TEXT
    level: int = logging.INFO


_settings = LogSettings()


def current_settings() -> LogSettings:
    """Return the settings of the last call of `configure`, which worker processes take over."""
    return _settings


def configure(settings: LogSettings, write: Callable[[str], None] = write_line) -> None:
    """Send all log records to stderr. A second call replaces the first.

    Parameters
    ----------
    settings : LogSettings
        What is logged, and in which form.
    write : callable
        Writes a line to stderr.
    """
    global _settings
    _settings = settings
    formatter = (
        JsonFormatter()
        if settings.log_format is LogFormat.JSON
        else TextFormatter(has_time=not sys.stderr.isatty())
    )
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, LineHandler):
            root.removeHandler(handler)
    root.addHandler(LineHandler(write, formatter))
    for name in PACKAGES:
        logging.getLogger(name).setLevel(settings.level)


def capture_warnings() -> None:
    """Log the warnings of libraries, instead of printing them in Python's form."""
    warnings.formatwarning = _one_line_warning
    logging.captureWarnings(True)


def _one_line_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,  # noqa: ARG001
) -> str:
    return f"{filename}:{lineno}: {category.__name__}: {message}"
