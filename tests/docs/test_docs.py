"""The commands, links and exit codes in the documents exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from ecgfl_cli.app import GLOBAL_FLAGS, GLOBAL_VALUES, command_tree, globals_first
from ecgfl_cli.errors import ExitCode

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
ROOT_COMMAND = command_tree()
BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)
SPAN = re.compile(r"`(ecgfl [^`]+)`")
REDIRECTION = re.compile(r" \d?[<>] ?\S+$")
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def command_lines() -> list[str]:
    """Return the lines in code blocks that run ecgfl, without comments."""
    blocks = [block for page in PAGES for block in BLOCK.findall(text_of(page))]
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return sorted({line for line in lines if line.startswith("ecgfl ")})


def inline_commands() -> list[str]:
    """Return the commands that the text names; they may contain placeholders."""
    return sorted(
        {" ".join(span.split()) for page in PAGES for span in SPAN.findall(text_of(page))}
    )


def resolve(line: str) -> tuple[click.Command, list[str]]:
    """Return the command of a line, and its arguments without global options with a value."""
    arguments = globals_first(shlex.split(REDIRECTION.sub("", line))[1:])
    while arguments and arguments[0] in GLOBAL_VALUES:
        arguments = arguments[2:]
    command = ROOT_COMMAND
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        child = command.get_command(click.Context(command), name)
        assert child is not None, f"`{line}`: there is no command {name}"
        command = child
    return command, arguments


@pytest.mark.parametrize("line", command_lines())
def test_command_line_is_accepted(line: str) -> None:
    command, arguments = resolve(line)
    command.make_context(command.name, arguments)


@pytest.mark.parametrize("line", inline_commands())
def test_inline_command_and_its_options_exist(line: str) -> None:
    command, arguments = resolve(line)
    known = {name for parameter in command.params for name in parameter.opts}
    used = {word for word in arguments if word.startswith("--")}
    assert used - known - {*GLOBAL_FLAGS, "--help"} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_link_targets_exist(page: Path) -> None:
    for link in LINK.findall(text_of(page)):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            headings = HEADING.findall(text_of(target))
            anchors = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
            assert anchor in anchors, link


def test_the_readme_links_to_every_document() -> None:
    linked = set(LINK.findall(text_of(ROOT / "README.md")))
    assert {f"docs/{page.name}" for page in PAGES if page.parent.name == "docs"} <= linked


def test_the_readme_lists_every_exit_code() -> None:
    table = re.findall(r"^\| (\d+) \|", text_of(ROOT / "README.md"), re.MULTILINE)
    assert [int(code) for code in table] == [int(code) for code in ExitCode]


def test_contributing_lists_every_session_of_nox() -> None:
    sessions = re.findall(r"^def (\w+)\(session: nox", text_of(ROOT / "noxfile.py"), re.MULTILINE)
    table = re.findall(r"^\| `(\w+)` \|", text_of(ROOT / "CONTRIBUTING.md"), re.MULTILINE)
    assert table == [name for name in sessions if name != "run"]
