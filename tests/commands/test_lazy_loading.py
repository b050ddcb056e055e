"""What is written down so that nothing is imported too early agrees with what is imported later."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import click
import pytest
import typer

from ecgfl_cli.app import app
from ecgfl_cli.commands import library
from ecgfl_cli.commands.lazy_group import VERBS

FOLDER = Path(inspect.getfile(library)).parent


@pytest.mark.parametrize("verb", VERBS)
def test_static_help_is_the_first_paragraph_of_the_real_help(verb: str) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group)
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    assert command.help is not None
    paragraph = inspect.cleandoc(command.help).split("\n\n")[0]
    assert VERBS[verb] == " ".join(paragraph.split())


def test_each_library_name_has_one_module() -> None:
    tree = ast.parse(inspect.getsource(library))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == library.MODULE_OF


@pytest.mark.parametrize(("name", "module"), library.MODULE_OF.items())
def test_library_name_exists(name: str, module: str) -> None:
    assert getattr(library, name) is getattr(import_module(module), name)


def test_every_library_name_is_used_by_a_command() -> None:
    sources = [*FOLDER.glob("*.py"), FOLDER.parent / "app.py"]
    used = {
        node.attr
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "library"
    }
    assert used == set(library.MODULE_OF)


def test_unknown_library_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(library, "no_such_name")  # noqa: B009 - a type checker would refuse the plain form
