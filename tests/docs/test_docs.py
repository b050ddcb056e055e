"""What the README and the docs tell people to type exists."""

import re
import shlex
from pathlib import Path

import click
import pytest
import typer

from ecgfl_cli.app import GLOBAL_VALUES, app, globals_first

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```bash\n(.*?)```", re.S)
REDIRECTION = re.compile(r" \d?[<>] ?\S+$")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def documented() -> list[str]:
    blocks = [block for page in PAGES for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return sorted({line.split("#")[0].strip() for line in lines if line.startswith("ecgfl ")})


@pytest.mark.parametrize("line", documented())
def test_a_documented_command_is_understood(line: str) -> None:
    arguments = globals_first(shlex.split(REDIRECTION.sub("", line))[1:])
    while arguments[0] in GLOBAL_VALUES:
        arguments = arguments[2:]
    command = typer.main.get_command(app)
    while isinstance(command, click.Group):
        name = arguments.pop(0)
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    command.make_context(command.name, arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    missing = [
        target
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert missing == []


def test_the_readme_lists_every_exit_code() -> None:
    from ecgfl_cli.errors import ExitCode

    table = re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert [int(code) for code in table] == [int(code) for code in ExitCode]
