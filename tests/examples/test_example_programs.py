"""Every example runs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LEAST_F1 = 85
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_every_example_is_listed_in_their_readme() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f"`{path.name}`" not in listed] == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_importing_an_example_changes_no_environment_variable(path: Path) -> None:
    program = (
        "import os, runpy, sys; before = dict(os.environ); sys.path.insert(0, "
        "os.path.dirname(sys.argv[1]));"
        "runpy.run_path(sys.argv[1]); print(dict(os.environ).items() ^ before.items())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "set()\n"


@pytest.mark.slow
def test_the_whole_job_on_real_recordings(
    real_data: Path, tmp_path: Path, ecgfl: Callable[..., Any]
) -> None:
    """Train on halves of DS1 and measure on DS2. F1 was 92.0; runs differ by one or two points."""
    done = _example("ds1_to_ds2.py", real_data / "mitdb", tmp_path)
    predicted = sorted((tmp_path / "ds2").glob("*.ecgfl"))
    assert len(predicted) == 22
    recordings = [real_data / "mitdb" / f"{path.stem}.hea" for path in predicted]
    f1 = (
        100
        * ecgfl("--json", "evaluate", *recordings, "--test", tmp_path / "ds2").json["gross"][
            "veb_f1"
        ]
    )
    assert f1 >= LEAST_F1
    assert f"{f1:.2f}" in done, "what the example says"
    burden = _example("burden_of_a_folder.py", tmp_path / "north", real_data / "edf")
    assert "vital_sqi_example: " in burden


def test_a_site_that_fails_ends_the_federation(tmp_path: Path) -> None:
    """And does not leave the others waiting for it."""
    job = f"""
from pathlib import Path
from local_federation import federate, make_homes
work = Path({str(tmp_path)!r})
make_homes(work, {{}})
federate(work, ["nobody", "no one"], "--rounds", 1)
"""
    done = subprocess.run(
        [sys.executable, "-c", job],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=EXAMPLES,
        check=False,
    )
    assert done.returncode == 1
    assert "exit codes: coordinator" in done.stderr


def _example(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
