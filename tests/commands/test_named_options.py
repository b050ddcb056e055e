"""Tests that every option in a message about a recording exists in the commands that print it."""

import ast
import re
from pathlib import Path

import click
import pytest
import typer

from ecgfl_cli.app import app

ROOT = Path(__file__).parents[2]
PLACES = (
    "adapters/ecgfl_adapters",
    "ecgfl_cli/quality",
    "ecgfl_cli/beats",
    "ecgfl_cli/store/validate.py",
)
VERBS = ("ingest", "validate", "predict", "evaluate")
WITHOUT_LABELS = {"predict": {"--labels"}}
"""`predict` reads no labels, so no message about them is printed."""


def _named_options() -> set[str]:
    """Return the options in the code's texts, except those of a full command line."""
    files = [
        file
        for place in PLACES
        for file in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    ]
    texts = [
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return {
        option
        for text in texts
        for option in re.findall(r"(?<![\w-])(?<!ecgfl ingest )--[a-z][-a-z]*", text)
    }


def _options_of(verb: str) -> set[str]:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group)
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("verb", VERBS)
def test_has_every_option_that_messages_name(verb: str) -> None:
    named = _named_options()
    assert {"--force", "--fs", "--units", "--lead", "--labels", "--input-format"} <= named
    assert named - _options_of(verb) - WITHOUT_LABELS.get(verb, set()) == set()
