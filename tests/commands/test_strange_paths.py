"""Other files beside recordings: one line for each that cannot be read; the rest are taken."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from ecgfl_adapters import find_recordings
from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import AdapterError

Ecgfl = Callable[..., Any]
posix = pytest.mark.skipif(
    os.name == "nt",
    reason="Windows has no pipes and devices among its files, and other permissions",
)
NOBODY = 65534


@pytest.fixture
def share(export: Any) -> Path:
    """A folder with one good recording."""
    folder: Path = export(1).parent
    return folder


pytestmark = pytest.mark.timeout(
    60
)  # a pipe that is opened for reading waits for somebody to write


def assert_the_good_one_is_taken(ran: Any, problems: int) -> None:
    assert ran.json["outcomes"] == {"added": 1} | ({"unreadable": problems} if problems else {})
    assert ran.code == (3 if problems else 0)
    assert len(ran.problems) == problems


@posix
@pytest.mark.parametrize(
    "name", ["pipe", "pipe.edf", "pipe.hea", "pipe.csv", "pipe.txt", "RECORDS"]
)
def test_a_pipe_in_a_folder_is_passed_by(site: Path, ecgfl: Ecgfl, share: Path, name: str) -> None:  # noqa: ARG001
    os.mkfifo(share / name)
    ran = ecgfl("ingest", share, "--json")
    assert_the_good_one_is_taken(ran, 0)
    assert str(share / name) in ran.err


@posix
@pytest.mark.parametrize("file_format", ["auto", "edf", "wfdb", "csv"])
@pytest.mark.parametrize("name", ["pipe", "pipe.edf", "pipe.hea"])
def test_a_pipe_that_is_named_is_refused(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    share: Path,
    name: str,
    file_format: str,
) -> None:
    os.mkfifo(share / name)
    ran = ecgfl("ingest", share / name, "--format", file_format)
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert "pipe" in ran.problems[0]


@posix
@pytest.mark.parametrize("suffix", [".dat", ".atr"])
def test_a_pipe_in_place_of_a_records_file_is_no_file_of_it(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    share: Path,
    suffix: str,
) -> None:
    path = share / f"synthetic-1{suffix}"
    path.unlink()
    os.mkfifo(path)
    ran = ecgfl("ingest", share / "synthetic-1.hea", "--json")
    assert ran.code == (3 if suffix == ".dat" else 0)
    assert len(ran.err.splitlines()) == len(ran.problems) == (1 if suffix == ".dat" else 0)


@posix
def test_a_socket_and_a_device_are_refused(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.edf")
        for path in (tmp_path / "socket.edf", Path("/dev/zero")):
            ran = ecgfl("ingest", path, "--format", "edf")
            assert ran.code == 3
            assert len(ran.problems) == 1
            assert str(path) in ran.problems[0]


@posix
def test_links_that_lead_nowhere_or_in_circles_are_passed_by(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    share: Path,
) -> None:
    (share / "to-itself.edf").symlink_to(share / "to-itself.edf")
    (share / "nowhere.hea").symlink_to(share / "gone.hea")
    (share / "up").symlink_to(share)
    (share / "a").symlink_to(share / "b")
    (share / "b").symlink_to(share / "a")
    ran = ecgfl("ingest", share, "--json")
    assert_the_good_one_is_taken(ran, 0)


@posix
def test_a_link_to_itself_that_is_named_is_refused(site: Path, ecgfl: Ecgfl, share: Path) -> None:  # noqa: ARG001
    (share / "to-itself.edf").symlink_to(share / "to-itself.edf")
    ran = ecgfl("ingest", share / "to-itself.edf", share, "--json")
    assert_the_good_one_is_taken(ran, 1)
    assert "to-itself.edf" in ran.problems[0]


@pytest.mark.parametrize("name", ["x.edf", "x.hea", "x.csv", "x.dat"])
def test_a_folder_that_is_called_like_a_file_is_a_folder(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    share: Path,
    name: str,
) -> None:
    (share / name).mkdir()
    assert_the_good_one_is_taken(ecgfl("ingest", share, "--json"), 0)
    ran = ecgfl("ingest", share / name)
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1


def test_a_folder_in_place_of_a_signal_file_is_named(site: Path, ecgfl: Ecgfl, share: Path) -> None:  # noqa: ARG001
    (share / "synthetic-1.dat").unlink()
    (share / "synthetic-1.dat").mkdir()
    ran = ecgfl("ingest", share)
    assert ran.code == 3
    assert len(ran.problems) == 1
    assert "synthetic-1.dat" in ran.problems[0]


def test_empty_files_are_named_and_the_good_one_is_taken(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    share: Path,
) -> None:
    for name in ("empty.edf", "empty.hea", "empty.csv", "empty.bdf"):
        (share / name).touch()
    assert_the_good_one_is_taken(ecgfl("ingest", share, "--json"), 4)


@pytest.mark.parametrize("line", ["x\0y", "a" * 5000, "synthetic-1/..", "~root/x", "*", ".", "#"])
def test_meaningless_record_list_is_only_reported(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    share: Path,
    line: str,
) -> None:
    (share / "RECORDS").write_text(f"synthetic-1\n{line}\n")
    ran = ecgfl("ingest", share, "--json")
    assert ran.json["outcomes"]["added"] == 1
    assert (
        len(ran.err.splitlines()) == len(ran.problems) == ran.json["outcomes"].get("unreadable", 0)
    )


@posix
@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act as another user"
)
@pytest.mark.parametrize("closed", ["folder", "folder/other.hea"])
def test_unreadable_path_is_named_and_others_are_found(share: Path, closed: str) -> None:
    with TemporaryDirectory() as place:
        root = Path(place)
        root.chmod(0o755)
        shutil.copytree(share, root / "share")
        (root / "share" / "folder").mkdir()
        shutil.copy(root / "share" / "synthetic-1.hea", root / "share" / "folder" / "other.hea")
        hidden = root / "share" / closed
        hidden.chmod(0o700)
        good = read(
            root / "share" / "synthetic-1.hea"
        )  # what is imported on the way may be closed to nobody, too
        os.seteuid(NOBODY)
        try:
            assert set(find_recordings([root / "share"]).recordings) == {
                root / "share" / "synthetic-1.hea",
                hidden,
            }
            assert read(root / "share" / "synthetic-1.hea").length == good.length
            for path in {hidden, root / "share" / "folder" / "other.hea"}:
                assert find_recordings([path]).recordings == [path]
                with pytest.raises(AdapterError, match="Permission denied") as refused:
                    read(path)
                assert str(path) in str(refused.value)
        finally:
            os.seteuid(0)
