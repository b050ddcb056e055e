"""What a command imports: quick commands load neither torch nor Flower."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ecgfl_cli.commands.lazy_group import VERBS

HEAVY = {"torch", "flwr", "wfdb", "scipy", "pandas", "numpy", "pydantic", "cryptography"}
LEARNING = {"torch", "flwr"}
MARKUP = {"markdown_it", "rich.markdown", "rich.traceback", "typer.rich_utils"}
USES_FLOWER = {"doctor", "join", "simulate"}
USES_TORCH = {*USES_FLOWER, "predict", "evaluate"}
"""Commands that import the library for their work, so that their help does too."""
PROGRAM = """
import json, sys
from ecgfl_cli.app import run
for arguments in json.loads(sys.argv[2]):
    code = run(arguments)
    found = sorted(set(sys.argv[1].split(",")) & set(sys.modules))
    print(arguments[0], "imported:", ",".join(found), "code:", code, file=sys.stderr)
"""


def imported(forbidden: set[str], *command_lines: tuple[object, ...]) -> list[str]:
    """Run command lines in a new process: the verb, imported modules and exit code of each."""
    listed = json.dumps([[str(argument) for argument in line] for line in command_lines])
    command = [sys.executable, "-c", PROGRAM, ",".join(sorted(forbidden)), listed]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return [line for line in said.splitlines() if " imported: " in line]


def test_help_and_version_import_no_library_and_no_command() -> None:
    modules = {f"ecgfl_cli.commands.{verb}" for verb in VERBS}
    assert imported(HEAVY | MARKUP | modules, ("--help",), ("--version",)) == [
        "--help imported:  code: 0",
        "--version imported:  code: 0",
    ]


def test_help_of_a_command_imports_that_command_alone() -> None:
    modules = {f"ecgfl_cli.commands.{verb}" for verb in VERBS}
    assert imported(modules, ("init", "--help")) == [
        "init imported: ecgfl_cli.commands.init code: 0"
    ]


def test_help_of_quick_commands_imports_neither_torch_nor_flwr() -> None:
    lines = [
        *((verb, "--help") for verb in VERBS if verb not in USES_TORCH),
        ("model", "list", "--help"),
        *(
            ("coordinator", verb, "--help")
            for verb in ("init", "enrol", "revoke", "renew", "sites", "status", "model", "audit")
        ),
    ]
    assert imported(LEARNING, *lines) == [f"{line[0]} imported:  code: 0" for line in lines]


def test_help_of_commands_with_a_network_imports_no_flwr() -> None:
    lines = [(verb, "--help") for verb in VERBS if verb not in USES_FLOWER]
    assert imported({"flwr"}, *lines) == [f"{line[0]} imported:  code: 0" for line in lines]


def test_quick_commands_import_neither_torch_nor_flwr(
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
