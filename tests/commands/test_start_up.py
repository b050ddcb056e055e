"""Starting is quick because nothing heavy is imported before it is needed."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

HEAVY = {"torch", "flwr", "wfdb", "scipy", "pandas"}
LEARNING = {"torch", "flwr"}
PROGRAM = """
import sys
from ecgfl_cli.app import run
code = run(sys.argv[2:])
found = sorted(set(sys.argv[1].split(",")) & set(sys.modules))
print("imported:", ",".join(found), "code:", code, file=sys.stderr)
"""


def imported(forbidden: set[str], *arguments: object) -> str:
    command = [sys.executable, "-c", PROGRAM, ",".join(sorted(forbidden)), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "command", [("--help",), ("init", "--help"), ("ingest", "--help"), ("predict", "--help"), ("join", "--help")]
)
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    assert imported(HEAVY | {"numpy"}, *command) == "imported:  code: 0"


def test_help_is_shown_in_under_300_ms() -> None:
    """The best of five: what other processes cost does not count."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ecgfl_cli", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.3


def test_verbs_that_neither_train_nor_predict_import_neither_torch_nor_flwr(home: Path, export: Any) -> None:  # noqa: ARG001
    path = export(1)
    for command in (
        ("init", "--site", "st-mary"),
        ("ingest", path),
        ("validate", path),
        ("validate",),
        ("segment",),
        ("dataset", "list"),
        ("audit", "verify"),
        ("model", "list"),
    ):
        assert imported(LEARNING, *command) == "imported:  code: 0", command


def test_predict_imports_no_flwr(modelled: Path, export: Any, tmp_path: Path) -> None:  # noqa: ARG001
    assert imported({"flwr"}, "predict", export(1), "--out", tmp_path) == "imported:  code: 0"
