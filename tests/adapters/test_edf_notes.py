"""EDF files with bytes after the last data record, and annotations that are not beats."""

from collections.abc import Sequence
from pathlib import Path

import edfio
import numpy as np
import pytest
from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.protocol import ReadOptions

SECONDS = 120


def _edf(path: Path, notes: Sequence[tuple[float, float | None, str]]) -> Path:
    wave = np.sin(np.arange(100 * SECONDS) / 9)
    signal = edfio.EdfSignal(
        wave, 100, label="ECG", physical_dimension="mV", physical_range=(-2, 2)
    )
    edfio.Edf([signal], annotations=[edfio.EdfAnnotation(*note) for note in notes]).write(path)
    return path


@pytest.mark.parametrize(
    "notes",
    [
        [(start, 30, text) for start, text in zip(range(0, SECONDS, 30), "RNRN", strict=True)],
        [(start, None, text) for start, text in zip(range(0, SECONDS, 30), "RNRN", strict=True)],
        [(10, None, "L"), (50, None, "S"), (90, None, "R")],
        [(20, 12, "A"), (40.5, 15, "A"), (41, 20, "S"), (90, 11, "A")],
        [(60, None, "Normal")],
        [(0, 0.5, "Sleep stage R"), (30, None, "Lights off")],
    ],
    ids=["stages", "stages without durations", "positions", "apnoea", "note", "phrases"],
)
def test_notes_are_not_beats(tmp_path: Path, notes: list[tuple[float, float | None, str]]) -> None:
    assert read(_edf(tmp_path / "x.edf", notes)).labels is None


def test_vocabulary_makes_notes_beats(tmp_path: Path) -> None:
    path = _edf(tmp_path / "x.edf", [(10, None, "L"), (50, None, "S"), (90, 5, "Extra")])
    found = read(path, options=ReadOptions(vocabulary={"l": "N", "extra": "V"})).labels
    assert found == ((1000, "N"), (9000, "V"))


def test_letters_as_close_as_beats_are_beats(tmp_path: Path) -> None:
    beats = [(second, None, "V" if second % 7 == 0 else "N") for second in range(1, SECONDS)]
    found = read(_edf(tmp_path / "x.edf", [*beats, (30.5, 30, "R"), (60.5, None, "PVC")])).labels
    assert found is not None
    assert len(found) == SECONDS
    assert {label.symbol for label in found} == {"N", "V"}


def test_a_word_for_a_beat_counts_alone(tmp_path: Path) -> None:
    assert read(
        _edf(tmp_path / "x.edf", [(10, None, "PVC"), (50, None, "A"), (90, None, "Normal")])
    ).labels == ((1000, "V"),)


@pytest.mark.parametrize("extra", [b"\x1a", b"\n\r", b"\x01" * 199, bytes(5000)])
def test_bytes_after_the_last_data_record_are_left_out(tmp_path: Path, extra: bytes) -> None:
    path = _edf(tmp_path / "x.edf", [])
    path.write_bytes(path.read_bytes() + extra)
    found = read(path)
    assert found.length == 100 * SECONDS
    assert [remark.code for remark in found.remarks] == ["record-count"]


def test_data_records_beyond_the_stated_ones_are_refused(tmp_path: Path) -> None:
    path = _edf(tmp_path / "x.edf", [])
    path.write_bytes(path.read_bytes() + b"\1" * 5000)
    with pytest.raises(FileUnreadable, match="--force"):
        read(path)


def test_reads_a_name_in_upper_case_and_latin_1(tmp_path: Path) -> None:
    path = _edf(tmp_path / "X.EDF", [])
    raw = bytearray(path.read_bytes())
    raw[8:88] = "Müller".encode("latin-1").ljust(80)
    path.write_bytes(raw)
    assert read(path).source.identifiers["patient"] == "Müller"
