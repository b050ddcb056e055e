"""No code comes from the server, and Flower's private parts and outgoing calls are where they are known to be."""

import ast
import os
import subprocess
import sys
from pathlib import Path

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


def test_flower_is_imported_in_one_folder_and_by_the_engine_of_the_simulation() -> None:
    users = {
        source.relative_to(ROOT)
        for source in SOURCES
        if any(name.split(".")[0] == "flwr" for name in imported(source))
    }
    outside = {user.as_posix() for user in users if user.parent.as_posix() != "federation/flower"}
    assert outside == {"federation/simulation/ray_engine.py"}


def in_a_new_process(code: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLWR")}
    # What a hospital's environment may say must not turn them on.
    environment |= {"FLWR_TELEMETRY_ENABLED": "1", "FLWR_DISABLE_UPDATE_CHECK": "0"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_flowers_own_calls_are_off_at_a_site() -> None:
    names = sorted(OFF)
    values = in_a_new_process(
        "import ecgfl_cli.federation.site.participation, os;"
        f"print(*(os.environ.get(name) for name in {names}));"
        "from flwr.supercore import telemetry; print(telemetry.FLWR_TELEMETRY_ENABLED)"
    )
    assert values.split() == [*(OFF[name] for name in names), "0"]


def test_flowers_own_calls_are_off_at_the_coordinator() -> None:
    names = sorted(OFF)
    code = f"import ecgfl_cli.federation.coordinator.serve, os; print(*(os.environ.get(name) for name in {names}))"
    assert in_a_new_process(code).split() == [OFF[name] for name in names]


def test_the_settings_are_made_before_flower_is_imported() -> None:
    for module in ("site.participation", "coordinator.serve", "flower.codec"):
        code = (
            "import sys, os\n"
            "class Watch:\n"
            "    def find_spec(self, name, *_):\n"
            "        if name == 'flwr': print(os.environ['FLWR_TELEMETRY_ENABLED'])\n"
            f"sys.meta_path.insert(0, Watch())\nimport ecgfl_cli.federation.{module}"
        )
        assert in_a_new_process(code) == "0", module
