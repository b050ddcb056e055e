"""The static help tables agree with the help of the commands that are imported later."""

import ast
import inspect
from pathlib import Path

import click
import pytest
import typer

from ecgfl_cli.app import command_tree
from ecgfl_cli.commands import lazy_group
from ecgfl_cli.commands.lazy_group import COORDINATOR_VERBS, MODEL_VERBS, VERBS

FOLDER = Path(inspect.getfile(lazy_group)).parent
LAZY = [
    *(((verb,), text) for verb, text in VERBS.items()),
    *((("coordinator", verb), text) for verb, text in COORDINATOR_VERBS.items()),
    *((("model", verb), text) for verb, text in MODEL_VERBS.items()),
]


@pytest.mark.parametrize(("path", "text"), LAZY, ids=[" ".join(path) for path, _ in LAZY])
def test_static_help_is_the_first_paragraph_of_the_help(path: tuple[str, ...], text: str) -> None:
    command: click.Command | None = command_tree()
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command is not None
    assert command.help is not None
    paragraph = inspect.cleandoc(command.help).split("\n\n")[0]
    assert text == " ".join(paragraph.split())


def test_commands_import_at_the_top_of_the_file() -> None:
    nested = [
        f"{path.name}:{node.lineno}"
        for path in sorted(FOLDER.glob("*.py"))
        for outer in ast.parse(path.read_text(encoding="utf-8")).body
        if not isinstance(outer, ast.Import | ast.ImportFrom)
        for node in ast.walk(outer)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert nested == []


def test_only_the_group_imports_by_name() -> None:
    users = {
        path.name
        for path in FOLDER.glob("*.py")
        if "import_module" in path.read_text(encoding="utf-8")
    }
    assert users == {"lazy_group.py"}


def test_unknown_command_is_none() -> None:
    root = command_tree()
    assert isinstance(root, click.Group)
    assert root.get_command(typer.Context(root), "no-such-command") is None
