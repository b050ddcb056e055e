"""No pickle is ever read or written: no code in the program can."""

import ast
from pathlib import Path

import ecgfl_adapters
import pytest

import ecgfl_cli

SOURCES = sorted(
    path
    for package in (ecgfl_cli, ecgfl_adapters)
    for path in Path(package.__file__).parent.rglob("*.py")
)
PICKLING = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}


def names_used(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            found.add(f"{node.func.value.id}.{node.func.attr}")
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.add("allow_pickle")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_file_of_the_program_pickles(path: Path) -> None:
    assert not names_used(ast.parse(path.read_text())) & (
        PICKLING | {"torch.load", "torch.save", "np.load", "allow_pickle"}
    )
