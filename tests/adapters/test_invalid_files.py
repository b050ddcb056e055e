"""Files that once crashed a reader, kept it busy or filled the memory.

`tests/data/make_invalid.py` makes them.
"""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ecgfl_adapters import find_recordings
from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import AdapterError
from log_lines import as_on_a_terminal

INVALID = Path(__file__).resolve().parents[1] / "data" / "invalid"
RECORDINGS = find_recordings([INVALID]).recordings
MEMORY = 30 << 20
"""Bytes; what the headers announce is terabytes."""


def test_every_file_is_a_recording_or_belongs_to_one() -> None:
    assert len(RECORDINGS) >= 31
    assert find_recordings([INVALID]).skipped == []
    others = {path.name for path in INVALID.iterdir()} - {path.name for path in RECORDINGS}
    assert {
        Path(name).stem.removesuffix(".labels")
        for name in others
        if not name.endswith((".dat", ".hea"))
    } <= {path.stem for path in RECORDINGS}


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_invalid_file_is_refused_without_allocating(path: Path) -> None:
    import wfdb  # noqa: F401 - what it takes itself does not count

    tracemalloc.start()
    try:
        with pytest.raises(AdapterError) as refused:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert "reader failed" not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 600
    assert str(INVALID) in str(refused.value)


def test_ingest_reports_one_line_per_invalid_file(site: Path, ecgfl: Callable[..., Any]) -> None:
    command = [
        sys.executable,
        "-m",
        "ecgfl_cli",
        "ingest",
        str(INVALID),
        "--jobs",
        "2",
        "--home",
        str(site),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 3
    # What the workers write would be here, too.
    problems = as_on_a_terminal(ran.stderr).splitlines()
    assert len(problems) == len(RECORDINGS)
    for path, problem in zip(RECORDINGS, problems, strict=True):
        assert problem.startswith(f"ecgfl: {INVALID}"), path
        assert "cannot be examined" not in problem
    assert list((site / "records").iterdir()) == []
    assert ecgfl("dataset", "list", "--json").json["recordings"] == []
