"""The public interface of `ecgfl_adapters`."""

import ast
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import ecgfl_adapters
import pytest

PUBLIC = """
Adapter AdapterBase AdapterError BeatLabel Channel FileUnreadable LabelRequest LabelsUnreadable Lead
ReadOptions Recording Source choose_leads find_recordings labels_for read
""".split()  # noqa: SIM905 - a list of strings takes a line each

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "acme_holter"


def test_all_lists_the_public_names() -> None:
    assert ecgfl_adapters.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(ecgfl_adapters))


def test_example_adapter_needs_only_public_names() -> None:
    """A format can be written without the package's internals."""
    imported = {
        alias.name
        for file in EXAMPLE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ecgfl_adapters")
        for alias in node.names
    }
    assert "AdapterBase" in imported
    assert imported <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_documented_and_defined_here(name: str) -> None:
    public = getattr(ecgfl_adapters, name)
    assert public.__name__ == name
    assert public.__module__.startswith("ecgfl_adapters.")
    assert (public.__doc__ or "").strip()
    assert not public.__doc__.startswith(f"{name}(")  # what dataclass and NamedTuple fill in


def test_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        ecgfl_adapters.no_such_name  # noqa: B018


def test_package_is_typed() -> None:
    assert files(ecgfl_adapters).joinpath("py.typed").is_file()


def test_import_loads_no_library() -> None:
    script = (
        "import sys, ecgfl_adapters; "
        "print([m for m in ('numpy', 'wfdb', 'pyedflib', 'pandas', 'scipy') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
