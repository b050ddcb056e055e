import os
import stat
from pathlib import Path

import pytest

from ecgfl_cli.files import atomic_write_bytes


def test_a_file_is_written_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    atomic_write_bytes(path, b"a\r\n" * 1000)
    atomic_write_bytes(path, b"b\n")
    assert path.read_bytes() == b"b\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_a_mode_holds_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        atomic_write_bytes(tmp_path / "open", b"", mode=0o644)
        atomic_write_bytes(tmp_path / "secret", b"", mode=0o600)
        atomic_write_bytes(tmp_path / "default", b"")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"open": 0o644, "secret": 0o600, "default": 0o600}


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path: Path) -> None:
    atomic_write_bytes(tmp_path / ("n" * 255), b"x")
    assert len(list(tmp_path.iterdir())) == 1


def test_failed_replacement_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        atomic_write_bytes(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic_write_bytes(tmp_path / "none" / "x", b"x")
