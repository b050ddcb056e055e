"""Whatever is in a file: it becomes a record of the store that can be read again, or one line that says what is wrong."""

import os
import re
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import mutations
import pytest
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.wfdb_record import WfdbAdapter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import Pseudonyms, make_keys
from ecgfl_cli.store.reading import Reading
from ecgfl_cli.store.stage import Staged, Staging, stage

SURPRISE = re.compile(r"cannot be examined|cannot be written|reader failed with")
"""What is said of an exception that nobody had thought of."""

DATA = Path(os.environ.get("ECGFL_TEST_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


@pytest.fixture(scope="module")
def good() -> dict[str, list[mutations.Files]]:
    return mutations.seeds(DATA if (DATA / "mitdb" / "100.hea").is_file() else None)


@pytest.fixture(scope="module")
def pseudonyms(tmp_path_factory: pytest.TempPathFactory) -> Pseudonyms:
    home = Home(tmp_path_factory.mktemp("home"))
    make_keys(home)
    return Pseudonyms(home)


@pytest.mark.parametrize("file_format", ["wfdb", "edf", "csv"])
def test_a_good_recording_is_taken(good: dict[str, list[mutations.Files]], pseudonyms: Pseudonyms, file_format: str) -> None:
    """Else nothing would be shown by the faults below."""
    reading = Reading(options=mutations.OPTIONS.get(file_format, ReadOptions()))
    for files in good[file_format]:
        with TemporaryDirectory() as folder:
            path = mutations.write(files, Path(folder) / "in")
            staged = stage(path, Staging(reading, pseudonyms, Path(folder)))
            assert isinstance(staged, Staged), staged


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("file_format", "number"), [("wfdb", 200), ("edf", 150), ("csv", 150)])
def test_a_mutated_recording_is_taken_or_refused_in_one_line(
    good: dict[str, list[mutations.Files]], pseudonyms: Pseudonyms, file_format: str, number: int
) -> None:
    reading = Reading(options=mutations.OPTIONS.get(file_format, ReadOptions()))

    @settings(max_examples=number, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.randoms(use_true_random=True))
    def check(random: Random) -> None:
        files = mutations.mutated(random.choice(good[file_format]), random)
        with TemporaryDirectory() as folder:
            path = mutations.write(files, Path(folder) / "in")
            staged = stage(path, Staging(reading, pseudonyms, Path(folder)))
            if isinstance(staged, Staged):
                found = WfdbAdapter().read(staged.folder / f"{staged.row.record}.hea", ReadOptions())
                assert (found.length, found.fs) == (staged.row.length, staged.row.fs)
            else:
                assert len(staged.reason.splitlines()) == 1, staged.reason
                assert str(path.with_suffix("").parent) in staged.reason
                assert not SURPRISE.search(staged.reason), staged.reason

    check()
