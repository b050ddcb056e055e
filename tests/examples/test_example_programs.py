"""Every example runs."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_every_example_is_listed_in_their_readme() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f"`{path.name}`" not in listed] == []


@pytest.mark.slow
def test_the_whole_job_on_real_recordings(real_data: Path, tmp_path: Path) -> None:
    """Half of DS1 each, five rounds, DS2: ecgnet is a weak network, but below 60 something is broken."""
    done = _example("ds1_to_ds2.py", real_data / "mitdb", tmp_path)
    gross = next(line for line in done.splitlines() if line.startswith("│ gross"))
    f1 = float(gross.split("│")[9])
    assert f1 >= 60, gross
    assert len(list((tmp_path / "ds2").glob("*.ecgfl"))) == 22
    burden = _example("burden_of_a_folder.py", tmp_path / "north", real_data / "edf")
    assert "vital_sqi_example: " in burden


def _example(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
