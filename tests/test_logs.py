"""The log on stderr: text for people and JSON lines for programs."""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextvars import copy_context
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from ecgfl_cli.logs import (
    PACKAGES,
    Event,
    JsonFormatter,
    LineHandler,
    LogFormat,
    LogSettings,
    TextFormatter,
    configure,
    event,
    fields_of_record,
    log_fields,
)

EVIL = "eve\x1b[31m\n\u202e\udcfc"
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")
COMMANDS = Path(__file__).resolve().parents[1] / "docs" / "commands.md"


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger of ecgfl. What `configure` changes is undone afterwards."""
    root = logging.getLogger()
    before = list(root.handlers)
    levels = {name: logging.getLogger(name).level for name in PACKAGES}
    yield logging.getLogger("ecgfl_cli.test")
    root.handlers[:] = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def record(
    message: str, level: int = logging.INFO, name: str = "ecgfl_cli.test", **fields: object
) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelno": level, "name": name, **fields})
    made.levelname = logging.getLevelName(level)
    return made


def test_terminal_line_is_only_the_message() -> None:
    assert TextFormatter(has_time=False).format(record("ready")) == "ready"


def test_log_file_line_begins_with_time_and_level() -> None:
    time, level, message = (
        TextFormatter(has_time=True).format(record("ready", logging.WARNING)).split(" ", 2)
    )
    assert STAMP.fullmatch(time)
    assert datetime.fromisoformat(time).utcoffset() is not None
    assert (level, message) == ("WARNING", "ready")


def test_source_stands_before_the_message() -> None:
    with log_fields(source=EVIL):
        line = TextFormatter(has_time=False).format(record("ready"))
    assert line == r"eve\x1b[31m\n\u202e\udcfc: ready"


@pytest.mark.parametrize(
    ("name", "line"), [("ecgfl_cli.console", "ecgfl: broken"), ("asyncio", "broken")]
)
def test_only_errors_of_ecgfl_name_the_program(name: str, line: str) -> None:
    formatter = TextFormatter(has_time=False)
    assert formatter.format(record("broken", logging.ERROR, name)) == line


def test_names_are_escaped_in_text() -> None:
    line = TextFormatter(has_time=True).format(record(f"{EVIL} connected"))
    assert line.isprintable()
    assert r"eve\x1b[31m\n\u202e\udcfc connected" in line


def test_names_are_escaped_in_json_and_read_back() -> None:
    line = JsonFormatter().format(
        record(f"{EVIL} connected", **event(Event.SITE_CONNECTED, site=EVIL))
    )
    assert line.isascii()
    assert line.isprintable()
    entry = json.loads(line)
    assert (entry["message"], entry["site"]) == (f"{EVIL} connected", EVIL)


def test_json_line_has_the_fixed_keys_first() -> None:
    fields = event(Event.READY, address="0.0.0.0:1", port=np.int64(1), report=Path("x"))
    entry = json.loads(JsonFormatter().format(record("serving", **fields)))
    assert list(entry)[:5] == ["time", "level", "logger", "event", "message"]
    assert datetime.fromisoformat(entry["time"]).utcoffset() is not None
    assert (entry["level"], entry["logger"]) == ("INFO", "ecgfl_cli.test")
    assert (entry["event"], entry["port"], entry["report"]) == ("ready", 1, "x")


def test_a_field_cannot_replace_a_fixed_key() -> None:
    with log_fields(level="none", time="never"):
        entry = json.loads(JsonFormatter().format(record("serving")))
    assert entry["level"] == "INFO"
    assert entry["time"] != "never"
    assert entry["event"] is None


def test_traceback_is_escaped_in_both_forms() -> None:
    try:
        raise ValueError(EVIL)
    except ValueError:
        made = record("failed", logging.CRITICAL, exc_info=sys.exc_info())
    lines = TextFormatter(has_time=False).format(made).split("\n")
    assert lines[0] == "ecgfl: failed"
    assert lines[1].startswith("Traceback")
    assert all(line.isprintable() for line in lines)
    assert "ValueError" in json.loads(JsonFormatter().format(made))["traceback"]


def test_nested_fields_are_added_and_removed() -> None:
    with log_fields(source="coordinator"), log_fields(trial="fedavg"):
        assert fields_of_record(record("x")) == {"source": "coordinator", "trial": "fedavg"}
    assert fields_of_record(record("x")) == {}


def test_a_field_of_the_call_replaces_one_of_the_context() -> None:
    with log_fields(source="demo"):
        assert fields_of_record(record("x", source="st-mary")) == {"source": "st-mary"}


def test_a_thread_in_a_copied_context_has_the_fields() -> None:
    seen: list[dict[str, object]] = []
    with log_fields(source="coordinator"):
        context = copy_context()
    thread = Thread(target=context.run, args=(lambda: seen.append(fields_of_record(record("x"))),))
    thread.start()
    thread.join()
    assert seen == [{"source": "coordinator"}]


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (logging.DEBUG, ["debug", "info", "warning"]),
        (logging.INFO, ["info", "warning"]),
        (logging.WARNING, ["warning"]),
    ],
)
def test_level_selects_ecgfls_own_records(
    log: logging.Logger, level: int, shown: list[str]
) -> None:
    lines: list[str] = []
    configure(LogSettings(LogFormat.JSON, level), lines.append)
    log.debug("debug")
    log.info("info")
    log.warning("warning")
    logging.getLogger("another.library").info("not shown")
    assert [json.loads(line)["message"] for line in lines] == shown


def test_configuring_again_replaces_the_handler(log: logging.Logger) -> None:
    first: list[str] = []
    second: list[str] = []
    configure(LogSettings(), first.append)
    configure(LogSettings(), second.append)
    log.info("once")
    assert (len(first), len(second)) == (0, 1)
    assert sum(isinstance(each, LineHandler) for each in logging.getLogger().handlers) == 1


def test_every_event_is_documented_and_every_documented_one_exists() -> None:
    section = COMMANDS.read_text(encoding="utf-8").split("## What is on stderr?")[1]
    section = section.split("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE) != []
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == set(Event)


def raw_lines(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    """Return the lines on stderr of a command in this process, which is not a terminal."""
    from ecgfl_cli.app import run

    capsys.readouterr()
    run([str(argument) for argument in arguments])
    return capsys.readouterr().err.splitlines()


@pytest.fixture
def files(export: Callable[..., Path], tmp_path: Path) -> Path:
    """A folder with a recording, a broken file and a file that is no recording."""
    export(1)
    folder = tmp_path / "exports" / "wfdb"
    (folder / "broken.edf").write_bytes(b"0")
    (folder / "notes.pdf").write_bytes(b"%PDF")
    return folder


def test_each_line_of_a_log_file_has_its_time_and_level(
    site: Path,  # noqa: ARG001
    files: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = raw_lines(capsys, "ingest", files)
    assert len(lines) >= 2
    assert all(STAMP.fullmatch(line.split(" ")[0]) for line in lines)
    assert {line.split(" ")[1] for line in lines} == {"INFO", "ERROR"}


def test_quiet_hides_information_and_shows_errors(
    site: Path,  # noqa: ARG001
    files: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = raw_lines(capsys, "ingest", files, "--quiet")
    assert {line.split(" ")[1] for line in lines} == {"ERROR"}


def test_json_log_of_a_command_is_json_lines_with_the_final_error(
    site: Path,  # noqa: ARG001
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    lines = raw_lines(capsys, "--log-format", "json", "predict", tmp_path / f"x{EVIL[:5]}.edf")
    entries = [json.loads(line) for line in lines]
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert entries[-1]["level"] == "ERROR"
    lines = raw_lines(capsys, "dataset", "list", "--surprise", "--log-format=json")
    (entry,) = [json.loads(line) for line in lines]
    assert (entry["event"], entry["code"], entry["error"]) == ("error", 2, "UsageError")
    assert entry["message"] == f"{entry['problem']}. {entry['fix']}"


def test_progress_is_logged_where_there_is_no_terminal(
    site: Path,  # noqa: ARG001
    export: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ecgfl_cli.console.PROGRESS_SECONDS", 0.0)
    lines = raw_lines(capsys, "--log-format", "json", "ingest", export(1), export(2))
    steps: list[dict[str, Any]] = [json.loads(line) for line in lines]
    progress = [step for step in steps if step["event"] == Event.PROGRESS]
    assert [(step["task"], step["done"], step["total"]) for step in progress] == [
        ("ingest", 1, 2),
        ("ingest", 2, 2),
    ]


def test_join_logs_with_times(
    site: Path,  # noqa: ARG001
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = raw_lines(capsys, "join", "--server", "localhost:1", "--once", "--max-wait", "1s")
    assert lines
    assert all(STAMP.fullmatch(line.split(" ")[0]) for line in lines)
