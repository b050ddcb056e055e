"""The list of Flower's private names is the one that the code uses and the installed Flower has."""

import ast
import inspect
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import ecgfl_cli
from ecgfl_cli.federation.flower.private_names import (
    PRIVATE_ATTRIBUTES,
    PRIVATE_NAMES,
    PUBLIC_MODULES,
)

PACKAGE = Path(ecgfl_cli.__file__).parent
OF_OTHER_LIBRARIES = {"_network_backend"}
"""httpcore's, in `call_deadline`."""


def trees() -> Iterator[ast.AST]:
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(_flower_module(node) for node in ast.walk(tree)):
            yield tree


def _flower_module(node: ast.AST) -> str | None:
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "flwr":
        return node.module
    return None


def test_private_names_are_listed() -> None:
    used: defaultdict[str, set[str]] = defaultdict(set)
    for tree in trees():
        for node in ast.walk(tree):
            module = _flower_module(node)
            if module is not None and module not in PUBLIC_MODULES:
                assert isinstance(node, ast.ImportFrom)
                used[module] |= {alias.name for alias in node.names}
            if isinstance(node, ast.Import):
                assert not [alias for alias in node.names if alias.name.startswith("flwr")]
    assert used == PRIVATE_NAMES


def test_private_attributes_are_listed() -> None:
    used = {name for tree in trees() for node in ast.walk(tree) if (name := _private(node))}
    listed = set[str]().union(*PRIVATE_ATTRIBUTES.values())
    assigned_by_ecgfl = {"_client"}  # on a subclass, through self
    assert used - OF_OTHER_LIBRARIES == listed - assigned_by_ecgfl


def _private(node: ast.AST) -> str | None:
    """Return a private attribute of another object, or a private key of its `__dict__`."""
    if isinstance(node, ast.Attribute):
        name, owner = node.attr, node.value
        is_own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
        return name if name.startswith("_") and not name.startswith("__") and not is_own else None
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("__dict__"):
        name = ast.literal_eval(node.slice)
        return name if isinstance(name, str) else None
    return None


@pytest.mark.parametrize("module", PRIVATE_NAMES)
def test_installed_flower_has_the_names(module: str) -> None:
    installed = import_module(module)
    for name in PRIVATE_NAMES[module]:
        if not hasattr(installed, name):
            import_module(f"{module}.{name}")


@pytest.mark.parametrize("owner", PRIVATE_ATTRIBUTES)
def test_installed_flower_has_the_attributes(owner: str) -> None:
    module, _, name = owner.rpartition(".")
    classes = inspect.getmro(getattr(import_module(module), name))
    source = "".join(inspect.getsource(each) for each in classes if "flwr" in each.__module__)
    for attribute in PRIVATE_ATTRIBUTES[owner]:
        assert attribute in source
