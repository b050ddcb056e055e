"""Tests that no table truncates a number, an identifier or a word, at any terminal width."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from ecgfl_cli import tables
from ecgfl_cli.tables import print_table

Ecgfl = Callable[..., Any]

BORDERS = re.compile(r"[\u2500-\u257f]")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
WIDTHS = (20, 40, 60, 80, 100, 140, 200)
COLUMNS = ("record ", "verdict ", "beats", "burden %", "what to do ")
ROWS = [
    [
        "P0001/2026-11-30_Holter_0815",
        "rejected",
        "147696",
        "12.25",
        "Look at the electrode and cable of the lead, and record again.",
    ],
    ["100", "usable", "2273", "0.04", "-"],
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, width: int, *table: Any) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    print_table(stream, *table)
    return stream.getvalue()


def words_of(text: str) -> set[str]:
    return set(BORDERS.sub(" ", COLOURS.sub("", text)).split())


@pytest.mark.parametrize("width", WIDTHS)
def test_every_cell_appears_whole_at_every_width(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    text = shown(monkeypatch, width, "Recordings", COLUMNS, ROWS, ["", "", "149969", "12.29", ""])
    assert words_of(text) >= {word for row in ROWS for cell in row for word in cell.split()} | {
        "149969",
        "12.29",
    }
    assert words_of(text) >= {word for title in COLUMNS for word in title.split()}


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    text = COLOURS.sub("", shown(monkeypatch, width, "Recordings", COLUMNS, ROWS))
    assert max(cell_len(line) for line in text.splitlines()) <= width


def test_a_narrow_terminal_gets_one_block_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = COLOURS.sub("", shown(monkeypatch, 40, "Recordings", COLUMNS, ROWS)).splitlines()
    assert lines[:4] == [
        "Recordings",
        "record      P0001/2026-11-30_Holter_0815",
        "verdict     rejected",
        "beats       147696",
    ]
    assert "" in lines


def test_colour_is_for_severity_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = shown(
        monkeypatch,
        200,
        "",
        ("a ", "severity "),
        [["error of mine", "error"], ["x", "warning"], ["y", "info"]],
    )
    assert "\x1b[31merror " in coloured
    assert "\x1b[33mwarning " in coloured
    assert "\x1b[31merror of mine" not in coloured


def test_square_brackets_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (20, 200):
        assert "[red]x[/red]" in shown(
            monkeypatch, width, "[b]t[/b]", ("name ", "n"), [["[red]x[/red]", "1"]]
        )


@pytest.mark.usefixtures("modelled")
def test_every_command_shows_the_same_words_at_every_width(
    ecgfl: Ecgfl, export: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording, long = export(1), export(2, seconds=330)
    assert ecgfl("ingest", recording).code == 0
    (record,) = ecgfl("dataset", "list", "--json").json["recordings"]
    commands: list[tuple[object, ...]] = [
        ("predict", recording, "--out", tmp_path / "out"),
        ("evaluate", long),
        ("validate", recording),
        ("segment",),
        ("dataset", "list"),
        ("dataset", "show", record["record"]),
        ("model", "list"),
        ("model", "show"),
        ("audit", "show"),
    ]
    for command in commands:
        wide = ecgfl(*command)
        for width in (40, 80, 120):
            with monkeypatch.context() as patch:
                patch.setattr(tables, "UNLIMITED_WIDTH", width)
                missing = words_of(wide.out) - words_of(ecgfl(*command).out)
            assert {word for word in missing if not re.search(r"\d\d:\d\d", word)} == set(), (
                command,
                width,
            )
