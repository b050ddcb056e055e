"""Ingest in parallel, and ingest that is killed, end with the same store."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ecgfl = Callable[..., Any]
RECORDINGS = 8


@pytest.fixture
def exports(export: Any) -> Path:
    for seed in range(1, RECORDINGS + 1):
        path = export(seed, "wfdb", seconds=40)
    return path.parent


def signals(home: Path, files_of: Any) -> dict[str, bytes]:
    return files_of(home / "records")


@pytest.fixture
def undisturbed(site: Path, exports: Path, ecgfl: Ecgfl) -> Path:
    assert ecgfl("ingest", exports, "--json").json["outcomes"] == {"added": RECORDINGS}
    return site


@pytest.fixture
def twin(undisturbed: Path, tmp_path: Path) -> Path:
    """Another home with the same secret and nothing in it."""
    folder = tmp_path / "twin"
    folder.mkdir()
    shutil.copytree(undisturbed / "keys", folder / "keys")
    shutil.copy(undisturbed / "site.toml", folder)
    return folder


def test_two_jobs_make_the_same_store(
    undisturbed: Path, twin: Path, exports: Path, ecgfl: Ecgfl, files_of: Any, rows_of: Any
) -> None:
    ran = ecgfl("ingest", exports, "--jobs", 2, "--home", twin, "--json")
    assert ran.json["outcomes"] == {"added": RECORDINGS}
    assert signals(twin, files_of) == signals(undisturbed, files_of)
    assert rows_of(twin) == rows_of(undisturbed)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is posix")
@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "done", [0, 3, pytest.param(5, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)]
)
def test_a_killed_ingest_is_finished_by_the_next(
    undisturbed: Path,
    twin: Path,
    exports: Path,
    ecgfl: Ecgfl,
    files_of: Any,
    rows_of: Any,
    done: int,
    jobs: int,
) -> None:
    command = [
        sys.executable,
        "-m",
        "ecgfl_cli",
        "ingest",
        str(exports),
        "--home",
        str(twin),
        "--jobs",
        str(jobs),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        folders = list((twin / "records").iterdir()) if (twin / "records").is_dir() else []
        if (
            len([folder for folder in folders if not folder.name.startswith(".")]) >= done
            and folders
        ):
            break
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    ran = ecgfl("ingest", exports, "--home", twin, "--json")
    assert ran.code == 0
    assert set(ran.json["outcomes"]) <= {"added", "unchanged"}
    assert signals(twin, files_of) == signals(undisturbed, files_of)
    assert rows_of(twin) == rows_of(undisturbed)
    assert ecgfl("audit", "verify", "--home", twin).code == 0


def test_what_a_kill_left_behind_is_cleared_away(
    undisturbed: Path, exports: Path, ecgfl: Ecgfl, files_of: Any, rows_of: Any
) -> None:
    before, rows = signals(undisturbed, files_of), rows_of(undisturbed)
    for name in (".staging-abc", "0123456789abcdef"):
        (undisturbed / "records" / name).mkdir()
        (undisturbed / "records" / name / "half.dat").write_bytes(b"half")
    assert ecgfl("ingest", exports).code == 0
    assert signals(undisturbed, files_of) == before
    assert rows_of(undisturbed) == rows


def test_what_somebody_else_put_beside_the_records_stays(
    undisturbed: Path, exports: Path, ecgfl: Ecgfl, rows_of: Any, tmp_path: Path
) -> None:
    assert ecgfl("segment").code == 0
    rows, records = rows_of(undisturbed), undisturbed / "records"
    (records / "Thumbs.db").write_bytes(b"of a file manager")
    (records / "0123456789abcdef").write_bytes(b"a file called like a record")
    (records / "notes").mkdir()
    (records / "notes" / "who.txt").write_text("do not lose this")
    if os.name != "nt":
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "precious").touch()
        (records / "fedcba9876543210").symlink_to(tmp_path / "elsewhere")
    assert ecgfl("ingest", exports, "--json").json["outcomes"] == {"unchanged": RECORDINGS}
    assert ecgfl("validate").code == ecgfl("segment").code == 0
    assert (records / "Thumbs.db").is_file()
    assert (records / "0123456789abcdef").is_file()
    assert (records / "notes" / "who.txt").read_text() == "do not lose this"
    assert os.name == "nt" or (tmp_path / "elsewhere" / "precious").is_file()
    assert rows_of(undisturbed) == rows
