"""docs/commands.md describes every command and every option, and no others."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ecgfl_cli.app import command_tree

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
HEADING = re.compile(r"^##+ (.+)\n", re.MULTILINE)
COMMAND = re.compile(r"`(ecgfl(?: [a-z-]+)*)[^`]*`")
OPTION_ROW = re.compile(r"^\| `(--[a-z-]+)[^|]*` \|", re.MULTILINE)
SHARED = "Which options say how files are read?"
GLOBAL = "Which options does every command take?"

_, *_parts = HEADING.split(TEXT)
SECTIONS = dict(zip(_parts[::2], _parts[1::2], strict=True))
DOCUMENTED = {
    match[1]: text for title, text in SECTIONS.items() if (match := COMMAND.fullmatch(title))
}


def commands(command: click.Command, path: str = "ecgfl") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that is no group, with its path."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from commands(child, f"{path} {name}")


COMMANDS = dict(commands(command_tree()))


def options_of(command: click.Command) -> set[str]:
    """Return the long names of a command's options."""
    options = [each for each in command.params if isinstance(each, click.Option)]
    return {name for option in options for name in (*option.opts, *option.secondary_opts)}


def documented_options(text: str) -> list[str]:
    """Return the options in a section's table, and the shared ones if the section links to them."""
    shared = (
        OPTION_ROW.findall(SECTIONS[SHARED]) if "options-say-how-files-are-read" in text else []
    )
    return OPTION_ROW.findall(text) + shared


def test_documented_commands_are_the_existing_commands() -> None:
    assert sorted(DOCUMENTED) == sorted(COMMANDS)


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_documented_options_are_the_existing_options(path: str) -> None:
    documented = documented_options(DOCUMENTED[path])
    assert sorted(documented) == sorted(options_of(COMMANDS[path]) - {"--help", "-h"})


def test_every_global_option_is_documented() -> None:
    assert sorted(OPTION_ROW.findall(SECTIONS[GLOBAL])) == sorted(
        options_of(command_tree()) - {"--help", "-h"}
    )


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_the_heading_shows_the_arguments(path: str) -> None:
    title = next(
        title
        for title in SECTIONS
        if title.startswith(f"`{path}") and COMMAND.match(title)[1] == path
    )
    shown = re.findall(r"\[?([A-Z]+)\]?", title)
    arguments = [each for each in COMMANDS[path].params if isinstance(each, click.Argument)]
    assert len(shown) == len(arguments)
