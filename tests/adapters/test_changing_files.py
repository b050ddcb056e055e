"""Files that change while they are read are refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ecgfl_adapters.discovery import read
from ecgfl_adapters.edf.adapter import EdfAdapter
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.tables.adapter import CsvAdapter
from ecgfl_adapters.wfdb.adapter import WfdbAdapter


def grows(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0\0")


def is_replaced(path: Path) -> None:
    os.utime(path, ns=(0, 0))


def is_cut_off_and_fails(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])
    raise FileUnreadable(path, "cut off", "Copy it again")


@pytest.mark.parametrize("change", [grows, is_replaced, is_cut_off_and_fails])
@pytest.mark.parametrize(
    ("adapter", "suffix"),
    [(WfdbAdapter, ".dat"), (WfdbAdapter, ".hea"), (EdfAdapter, ".edf"), (CsvAdapter, ".csv")],
)
def test_refuses_file_that_changes_while_read(
    tmp_path: Path,
    recording: Recording,
    monkeypatch: pytest.MonkeyPatch,
    adapter: type,
    suffix: str,
    change: Callable[[Path], None],
) -> None:
    path = adapter().write(recording, tmp_path)[0]
    assert read(path).length >= recording.length
    whole = adapter.read

    def read_and_change(self: object, path: Path, options: ReadOptions) -> Recording:
        found: Recording = whole(self, path, options)
        change(path.with_suffix(suffix))
        return found

    monkeypatch.setattr(adapter, "read", read_and_change)
    with pytest.raises(FileUnreadable, match="changed while it was read"):
        read(path)
