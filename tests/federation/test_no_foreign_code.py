"""No code comes from the server, and Flower is imported and configured in known places only."""

import ast
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ecgfl_cli

ROOT = Path(ecgfl_cli.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
BUNDLES = (
    "get_fab",
    "GetFab",
    "install_from_fab",
    "fab_install",
    "load_app",
    "pickle",
    "exec(",
    "eval(",
    "allow_pickle=True",
)
OFF = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}


def imported(source: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found: set[str] = set()
    for each in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(each, ast.Import):
            found |= {name.name for name in each.names}
        elif isinstance(each, ast.ImportFrom) and each.module:
            found |= {each.module, *(f"{each.module}.{name.name}" for name in each.names)}
    return found


def test_nothing_can_fetch_or_load_a_bundle() -> None:
    for source in SOURCES:
        text = source.read_text(encoding="utf-8").replace(".exec(", "").replace(".eval(", "")
        assert [word for word in BUNDLES if word in text] == [], source


def test_flower_is_imported_by_the_federation_only() -> None:
    for source in SOURCES:
        if not source.is_relative_to(ROOT / "federation"):
            assert [name for name in imported(source) if name.split(".")[0] == "flwr"] == [], source


def test_flower_is_imported_in_two_places_only() -> None:
    users = {
        source.relative_to(ROOT)
        for source in SOURCES
        if any(name.split(".")[0] == "flwr" for name in imported(source))
    }
    outside = {user.as_posix() for user in users if user.parent.as_posix() != "federation/flower"}
    assert outside == {"federation/simulation/ray_engine.py"}


@functools.cache
def flower_settings(module: str) -> dict[str, Any]:
    """Import a module of the federation in a new process, and return Flower's settings in it.

    before : the setting for telemetry when flwr was first looked for. after : the environment
    variables afterwards. telemetry : what flwr itself reads.
    """
    code = f"""
import json, os, sys
before = []
class Watch:
    def find_spec(self, name, *_):
        if name == "flwr":
            before.append(os.environ["FLWR_TELEMETRY_ENABLED"])
sys.meta_path.insert(0, Watch())
import ecgfl_cli.federation.{module}
after = {{name: os.environ.get(name) for name in {sorted(OFF)}}}
from flwr.supercore import telemetry
print(json.dumps([before, after, telemetry.FLWR_TELEMETRY_ENABLED]))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLWR")}
    # What a hospital's environment may say must not turn them on.
    environment |= {"FLWR_TELEMETRY_ENABLED": "1", "FLWR_DISABLE_UPDATE_CHECK": "0"}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    return dict(zip(("before", "after", "telemetry"), json.loads(printed), strict=True))


def test_flowers_own_calls_are_off_at_a_site() -> None:
    settings = flower_settings("site.participation")
    assert settings["after"] == OFF
    assert settings["telemetry"] == "0"


def test_flowers_own_calls_are_off_at_the_coordinator() -> None:
    assert flower_settings("coordinator.serve")["after"] == OFF


@pytest.mark.parametrize("module", ["site.participation", "coordinator.serve", "flower.codec"])
def test_settings_are_made_before_flower_is_imported(module: str) -> None:
    assert flower_settings(module)["before"] == ["0"]
