"""The source keeps the rules of form that no linter checks."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import ecgfl_adapters

import ecgfl_cli
from ecgfl_cli import processes

SOURCES = [
    path
    for package in (ecgfl_cli, ecgfl_adapters)
    for path in sorted(Path(str(package.__file__)).parent.rglob("*.py"))
]
TESTS = Path(__file__).resolve().parent
PROGRAMS = sorted([*TESTS.glob("attacks/*.py"), *TESTS.glob("benchmarks/*.py")])
FEWEST_LINES = 20
SHORT_FILES = {"__init__.py", "__main__.py"}


def classes() -> Iterator[tuple[str, Path]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield node.name, path


def test_class_names_are_unique() -> None:
    places = defaultdict(list)
    for name, path in classes():
        places[name].append(str(path))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_each_file_is_long_enough_to_stand_alone() -> None:
    short = [
        path.name
        for path in SOURCES
        if path.name not in SHORT_FILES
        and len(path.read_text(encoding="utf-8").splitlines()) < FEWEST_LINES
    ]
    assert short == []


def test_processes_names_no_module_in_a_string() -> None:
    tree = ast.parse(Path(str(processes.__file__)).read_text(encoding="utf-8"))
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    named = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
        and node.value.split(".")[0] in {"ecgfl_cli", "ecgfl_adapters", "wfdb", "numpy", "torch"}
    ]
    assert named == []


def exists(module: str, name: str) -> bool:
    imported = import_module(module)
    is_package = hasattr(imported, "__path__")
    return hasattr(imported, name) or (is_package and find_spec(f"{module}.{name}") is not None)


def test_programs_import_names_that_exist() -> None:
    """No test imports most of the programs that measure something."""
    imported = {
        (path.name, node.module, alias.name)
        for path in PROGRAMS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module is not None
        and node.module.split(".")[0] in {"ecgfl_cli", "ecgfl_adapters"}
        for alias in node.names
    }
    assert [names for names in sorted(imported) if not exists(*names[1:])] == []
