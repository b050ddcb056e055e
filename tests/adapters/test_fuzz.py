"""Any file becomes a record of the store that can be read again, or is refused in one line."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import mutations
import pytest
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.wfdb.adapter import WfdbAdapter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_lines import as_on_a_terminal

from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import Pseudonyms, make_keys
from ecgfl_cli.store.reading import Reading
from ecgfl_cli.store.stage import Staged, Staging, stage

SURPRISE = re.compile(r"cannot be examined|cannot be written|reader failed with")
"""Messages for an unexpected exception."""

DATA = Path(
    os.environ.get(
        "ECGFL_TEST_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"
    )
)


@pytest.fixture(scope="module")
def good() -> dict[str, list[mutations.Files]]:
    return mutations.seeds(DATA if (DATA / "mitdb" / "100.hea").is_file() else None)


@pytest.fixture(scope="module")
def pseudonyms(tmp_path_factory: pytest.TempPathFactory) -> Pseudonyms:
    home = Home(tmp_path_factory.mktemp("home"))
    make_keys(home)
    return Pseudonyms(home)


@pytest.mark.parametrize("file_format", ["wfdb", "edf", "csv"])
def test_unchanged_recording_is_staged(
    good: dict[str, list[mutations.Files]], pseudonyms: Pseudonyms, file_format: str
) -> None:
    """The tests of mutated recordings rely on it."""
    reading = Reading(options=mutations.OPTIONS.get(file_format, ReadOptions()))
    for files in good[file_format]:
        with TemporaryDirectory() as folder:
            path = mutations.write(files, Path(folder) / "in")
            staged = stage(path, Staging(reading, pseudonyms, Path(folder)))
            assert isinstance(staged, Staged), staged


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("file_format", "number"), [("wfdb", 200), ("edf", 150), ("csv", 150)])
def test_mutated_recording_is_staged_or_refused_in_one_line(
    good: dict[str, list[mutations.Files]], pseudonyms: Pseudonyms, file_format: str, number: int
) -> None:
    reading = Reading(options=mutations.OPTIONS.get(file_format, ReadOptions()))

    @settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True))
    def check(random: Random) -> None:
        files = mutations.mutated(random.choice(good[file_format]), random)
        with TemporaryDirectory() as folder:
            path = mutations.write(files, Path(folder) / "in")
            staged = stage(path, Staging(reading, pseudonyms, Path(folder)))
            if isinstance(staged, Staged):
                found = WfdbAdapter().read(
                    staged.folder / f"{staged.row.record}.hea", ReadOptions()
                )
                assert (found.length, found.fs) == (staged.row.length, staged.row.fs)
            else:
                assert len(staged.reason.splitlines()) == 1, staged.reason
                assert str(path.with_suffix("").parent) in staged.reason
                assert not SURPRISE.search(staged.reason), staged.reason

    check()


def test_mutated_recordings_go_through_the_command_line(
    good: dict[str, list[mutations.Files]], tmp_path: Path, site: Path, ecgfl: Callable[..., Any]
) -> None:
    """Recordings are read in worker processes, whose own streams are checked too."""
    for number in range(120):
        name = ("wfdb", "edf")[number % 2]
        random = Random(number)
        mutations.write(
            mutations.mutated(random.choice(good[name]), random), tmp_path / "share" / f"{number}"
        )
    ended = run(site, "ingest", tmp_path / "share", "--jobs", 2, "--json")
    outcomes = json.loads(ended.stdout)["outcomes"]
    assert ended.returncode == 3
    assert outcomes["added"] > 0
    lines = as_on_a_terminal(ended.stderr).splitlines()
    own = [line for line in lines if not line.endswith("no adapter reads it")]
    assert len(own) == outcomes["unreadable"]
    assert [
        line for line in own if not line.startswith(f"ecgfl: {tmp_path}") or SURPRISE.search(line)
    ] == []
    assert ecgfl("validate", "--jobs", "1", "--json").json["unreadable"] == {}


def run(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ecgfl_cli", *map(str, arguments), "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
