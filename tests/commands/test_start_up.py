"""Starting is quick because nothing heavy is imported before it is needed."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.commands.lazy_group import VERBS

HEAVY = {"torch", "flwr", "wfdb", "scipy", "pandas"}
LEARNING = {"torch", "flwr"}
PROGRAM = """
import json, os, sys
from ecgfl_cli.app import run
for arguments in json.loads(sys.argv[2]):
    if sys.argv[3] == "forked" and os.fork():
        os.wait()
        continue
    code = run(arguments)
    found = sorted(set(sys.argv[1].split(",")) & set(sys.modules))
    print(arguments[0], "imported:", ",".join(found), "code:", code, file=sys.stderr, flush=True)
    if sys.argv[3] == "forked":
        os._exit(0)
"""
HELP = (("--help",), *((verb, "--help") for verb in VERBS))


def imported(
    forbidden: set[str], *command_lines: tuple[object, ...], forked: bool = False
) -> list[str]:
    """Run command lines in a new process: the verb, imported modules and exit code of each.

    forked : run each in a fork of the process that has imported the program and run nothing yet.
    """
    listed = json.dumps([[str(argument) for argument in line] for line in command_lines])
    arguments = [",".join(sorted(forbidden)), listed, "forked" if forked else "in one"]
    command = [sys.executable, "-c", PROGRAM, *arguments]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return [line for line in said.splitlines() if " imported: " in line]


@functools.cache
def imported_by_help() -> list[str]:
    """Show all help, each as the first that a process does."""
    heavy = HEAVY | {"numpy"}
    if hasattr(os, "fork"):
        return imported(heavy, *HELP, forked=True)
    return [line for command in HELP for line in imported(heavy, command)]


@pytest.mark.parametrize("command", HELP)
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    assert imported_by_help().count(f"{command[0]} imported:  code: 0") == 1


def test_help_of_the_program_imports_no_command() -> None:
    modules = {f"ecgfl_cli.commands.{verb}" for verb in VERBS}
    assert imported(modules, ("--help",)) == ["--help imported:  code: 0"]
    assert imported(modules, ("init", "--help")) == [
        "init imported: ecgfl_cli.commands.init code: 0"
    ]


def test_verbs_that_neither_train_nor_predict_import_neither_torch_nor_flwr(
    home: Path,  # noqa: ARG001
    export: Any,
) -> None:
    path = export(1)
    lines = (
        ("init", "--site", "st-mary"),
        ("ingest", path),
        ("validate", path),
        ("validate",),
        ("segment",),
        ("dataset", "list"),
        ("audit", "verify"),
        ("audit", "head"),
        ("schedule", "cron", "--server", "localhost:1"),
        ("model", "list"),
    )
    assert imported(LEARNING, *lines) == [f"{line[0]} imported:  code: 0" for line in lines]


def test_predict_imports_no_flwr(modelled: Path, export: Any, tmp_path: Path) -> None:  # noqa: ARG001
    assert imported({"flwr"}, ("predict", export(1), "--out", tmp_path)) == [
        "predict imported:  code: 0"
    ]
