"""The exception tree at the top of errors.py is complete and right."""

import ast
import pickle
import re
from pathlib import Path

import pytest

from ecgfl_cli import errors
from ecgfl_cli.errors import EcgflError, ExitCode, UnusableInput, of_one_file

PACKAGE = Path(errors.__file__).parent
BRANCH = re.compile(r"^((?:│   |    )*)(?:├── |└── )?([A-Z]\w+)\s+(\d+)?\s+\S")


def drawn_tree() -> dict[str, tuple[str | None, int]]:
    """Return name -> (name of the base, exit code) from the docstring of errors.py."""
    assert errors.__doc__ is not None
    tree: dict[str, tuple[str | None, int]] = {}
    above: list[str] = []
    for line in errors.__doc__.splitlines():
        branch = BRANCH.match(line)
        if branch is None:
            continue
        indent, name, code = branch.groups()
        depth = len(indent) // 4 + (1 if "── " in line else 0)
        base = above[depth - 1] if depth else None
        tree[name] = (base, int(code) if code else tree[str(base)][1])
        above[depth:] = [name]
    return tree


def defined_tree() -> dict[str, str]:
    """Return name -> name of the base of every subclass of EcgflError in the program."""
    bases = {
        node.name: base.id
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name)
    }

    def is_ours(name: str) -> bool:
        return name == "EcgflError" or (name in bases and is_ours(bases[name]))

    return {name: base for name, base in bases.items() if is_ours(name) and name != "EcgflError"}


def test_tree_names_every_exception_and_its_base() -> None:
    drawn = {name: base for name, (base, _) in drawn_tree().items() if base is not None}
    assert drawn == defined_tree()


@pytest.mark.parametrize("name", [name for name in drawn_tree() if hasattr(errors, name)])
def test_tree_shows_the_exit_code(name: str) -> None:
    assert getattr(errors, name).exit_code == drawn_tree()[name][1]


def test_every_exit_code_of_an_exception_is_in_the_tree() -> None:
    not_of_exceptions = {ExitCode.DONE, ExitCode.INTERRUPTED}
    assert {code for _, code in drawn_tree().values()} == {*ExitCode} - not_of_exceptions


def test_exception_survives_the_way_from_a_worker() -> None:
    sent = pickle.loads(pickle.dumps(UnusableInput("a:\n b", "Do c")))  # noqa: S301
    assert (type(sent), sent.problem, sent.fix) == (UnusableInput, "a: b", "Do c")


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (FileNotFoundError(2, "No such file", "b.hea"), "b.hea"),
        (MemoryError("8 GiB"), "(8 GiB)"),
        (KeyError("x"), "KeyError"),
        (UnusableInput("own problem", "fix"), "own problem"),
    ],
)
def test_any_exception_of_a_file_becomes_unusable_input(error: Exception, part: str) -> None:
    converted: EcgflError = of_one_file(Path("a.hea"), error)
    assert converted.exit_code == ExitCode.INPUT
    assert part in converted.problem
