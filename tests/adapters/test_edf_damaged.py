"""Damaged EDF and BDF files: which are refused, and which are read with a remark."""

from collections.abc import Callable
from pathlib import Path

import edfio
import numpy as np
import pytest
from ecgfl_adapters.edf.adapter import EdfAdapter
from ecgfl_adapters.errors import (
    FileMissing,
    FileUnreadable,
)
from ecgfl_adapters.protocol import Adapter, ReadOptions
from ecgfl_adapters.recording import Recording
from edf_files import edf_signal, with_stamps, without_continuity, write_edf_file

ADAPTER = EdfAdapter()
DEFAULT = ReadOptions()
MakeFile = Callable[[int, bytes], Path]
# Offsets in a header of three signals (two leads and the annotations).
VERSION, PATIENT, HEADER_SIZE, RESERVED, RECORDS, DURATION, SIGNALS = 0, 8, 184, 192, 236, 244, 252
LABEL, DIMENSION, PHYSICAL_MIN, PHYSICAL_MAX, DIGITAL_MIN = (
    256,
    256 + 96 * 3,
    256 + 104 * 3,
    256 + 112 * 3,
    256 + 120 * 3,
)


def test_data_records_that_overlap_are_refused(tmp_path: Path) -> None:
    path = without_continuity(
        write_edf_file(tmp_path / "x.edf", [edf_signal("ECG", seconds=3)], []), [0, 5, 5]
    )
    with pytest.raises(
        FileUnreadable, match=r"data record 2 starts at 5 s, before the end of the one before it"
    ):
        ADAPTER.read(path, DEFAULT)


def test_refuses_far_time_stamp_without_allocating(tmp_path: Path) -> None:
    note = edfio.EdfAnnotation(0.5, None, "makes room for a long time stamp")
    path = without_continuity(
        write_edf_file(tmp_path / "x.edf", [edf_signal("ECG", seconds=3)], [note]),
        [0, 1, 999_999_999],
    )
    with pytest.raises(FileUnreadable, match=r"span 11574.1 days"):
        ADAPTER.read(path, DEFAULT)


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (VERSION, b"GIF89a  ", "version field is b'GIF89a  '"),
        (SIGNALS, b"9   ", "header size 1024 does not fit 9 signals"),
        (SIGNALS, b"two ", "number of signals is 'two'"),
        (
            RECORDS,
            b"13      ",
            r"the header states 13 data records, but the file holds 11 whole data records.*--force",
        ),
        (
            RECORDS,
            b"9       ",
            r"the header states 9 data records, but the file holds 11 whole data records.*--force",
        ),
        (DURATION, b"0       ", "duration of a data record is 0 s"),
        (DURATION, b"nan     ", "duration of a data record is 'nan'"),
        (PHYSICAL_MIN, b"163835  ", "channel 'MLII' has physical minimum and maximum 163835"),
        (DIGITAL_MIN, b"32767   ", "channel 'MLII' has digital minimum 32767 and maximum 32767"),
    ],
)
def test_a_broken_header_field_is_refused_by_name(
    edf_field: MakeFile, offset: int, value: bytes, said: str
) -> None:
    with pytest.raises(FileUnreadable, match=said):
        ADAPTER.read(edf_field(offset, value), DEFAULT)


@pytest.mark.parametrize(
    ("count", "bytes_missing", "said"),
    [
        (b"-1      ", 0, "not closed"),
        (b"-1      ", 100, "another"),
        (b"11      ", 1, "10 whole"),
        (b"12      ", 0, "11 whole"),
    ],
)
def test_tolerates_open_header_and_cut_last_record_with_remark(
    edf_field: MakeFile, recording: Recording, count: bytes, bytes_missing: int, said: str
) -> None:
    path = edf_field(RECORDS, count)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) - bytes_missing])
    found = ADAPTER.read(path, DEFAULT)
    assert [remark.code for remark in found.remarks] == ["record-count"]
    assert said in found.remarks[0].problem
    assert recording.length - 250 <= found.length <= recording.length
    np.testing.assert_allclose(
        found.leads[0].samples, recording.leads[0].samples[: found.length], atol=1e-3
    )


def test_force_reads_complete_records_of_cut_file(edf_field: MakeFile) -> None:
    path = edf_field(RECORDS, b"13      ")
    found = ADAPTER.read(path, ReadOptions(force=True))
    assert "13 data records" in found.remarks[0].problem


def test_dead_channel_does_not_affect_others(edf_field: MakeFile) -> None:
    path = edf_field(PHYSICAL_MIN, b"163835  ")
    assert [lead.name for lead in ADAPTER.read(path, ReadOptions(leads=("V5",))).leads] == ["V5"]


@pytest.mark.parametrize("size", [0, 100, 300, 1024, 5000])
def test_refuses_cut_file_with_sizes(edf_field: MakeFile, size: int) -> None:
    path = edf_field(PATIENT, b"X")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(
        FileUnreadable,
        match=r"small\.edf: .*\d+ (bytes|whole data records).*(Copy the file|export)",
    ):
        ADAPTER.read(path, DEFAULT)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"nix\.edf: cannot be opened"):
        ADAPTER.read(tmp_path / "nix.edf", DEFAULT)
    assert isinstance(ADAPTER, Adapter)


def test_refuses_file_that_changed_after_opening(tmp_path: Path) -> None:
    path = without_continuity(
        write_edf_file(tmp_path / "x.edf", [edf_signal("ECG", seconds=4)], []), [0, 1, 8, 9]
    )
    samples = ADAPTER.read(path, DEFAULT).leads[0].samples
    path.write_bytes(path.read_bytes() + bytes(path.stat().st_size))
    with pytest.raises(FileUnreadable, match="changed while it was read"):
        samples[:10]


@pytest.mark.parametrize("every", [1.004, 0.996])
def test_refuses_data_records_at_another_rate(tmp_path: Path, every: float) -> None:
    with pytest.raises(FileUnreadable, match=f"come every {every} s"):
        ADAPTER.read(with_stamps(tmp_path, every, 100, {}), DEFAULT)
