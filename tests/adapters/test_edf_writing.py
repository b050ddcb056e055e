"""EDF files that ecgfl writes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pyedflib
import pytest
from ecgfl_adapters.edf.adapter import EdfAdapter
from ecgfl_adapters.edf.header import read_header
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Recording

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


def _signal(label: str, unit: str = "mV", fs: float = 100.0, seconds: int = 10) -> edfio.EdfSignal:
    wave = np.sin(np.arange(int(fs * seconds)) / 9)
    return edfio.EdfSignal(wave, fs, label=label, physical_dimension=unit, physical_range=(-2, 2))


def _write(
    path: Path,
    signals: Sequence[edfio.EdfSignal],
    annotations: Sequence[edfio.EdfAnnotation] | None = None,
) -> Path:
    edfio.Edf(signals, annotations=annotations).write(path)
    return path


def _without_continuity(path: Path, starts: Sequence[int]) -> Path:
    """Turn an EDF+C file with 1 s data records into EDF+D; records start at `starts` seconds."""
    raw = path.read_bytes().replace(b"EDF+C", b"EDF+D", 1)
    for number, start in reversed(list(enumerate(starts))):
        longer = len(str(start)) - len(str(number))
        raw = raw.replace(
            f"+{number}\x14\x14".encode() + bytes(longer), f"+{start}\x14\x14".encode()
        )
    path.write_bytes(raw)
    return path


def test_written_file_is_anonymous_and_read_by_pyedflib(
    tmp_path: Path, recording: Recording
) -> None:
    path = ADAPTER.write(recording, tmp_path)[0]
    with pyedflib.EdfReader(str(path)) as reader:
        assert {reader.getPatientName(), reader.getPatientCode(), reader.getBirthdate()} <= {
            "",
            "X",
        }
        assert reader.getSignalLabels() == ["MLII", "V5"]
        for index, lead in enumerate(recording.leads):
            written = reader.readSignal(index)[: recording.length] / 1000
            np.testing.assert_allclose(written, lead.samples, atol=lead.step_mv / 10)
        onsets, _, texts = reader.readAnnotations()
    assert [
        BeatLabel(round(onset * 250), text) for onset, text in zip(onsets, texts, strict=True)
    ] == list(recording.labels or ())


@pytest.mark.parametrize("fs", [1.0, 62.4725, 128.0, 250.5, 257.123456789, 360.0, 1000.0])
@pytest.mark.parametrize("length", [1, 999, 2575])
def test_length_labels_and_rate_are_read_back_at_any_rate(
    tmp_path: Path, recording: Recording, fs: float, length: int
) -> None:
    cut = tuple(replace(lead, samples=lead.samples[:length]) for lead in recording.leads)
    labels = tuple(BeatLabel(sample, "N") for sample in (*range(0, length, 37), length + 5))
    found = ADAPTER.read(
        ADAPTER.write(replace(recording, fs=fs, leads=cut, labels=labels), tmp_path)[0], DEFAULT
    )
    assert (found.length, found.labels, found.fs) == (length, labels, pytest.approx(fs, rel=1e-7))
    for read, written in zip(found.leads, cut, strict=True):
        np.testing.assert_allclose(read.samples, written.samples, atol=written.step_mv / 10)


@pytest.mark.parametrize("fs", [62.4725, 257.123456789, 360.0])
def test_written_file_is_read_alike_by_edfio_and_edflib(
    tmp_path: Path, recording: Recording, fs: float
) -> None:
    labels = tuple(BeatLabel(sample, "V") for sample in range(0, recording.length, 40))
    path = ADAPTER.write(replace(recording, fs=fs, labels=labels), tmp_path)[0]
    independent = edfio.read_edf(path)
    assert [round(note.onset * fs) for note in independent.annotations] == [
        label.sample for label in labels
    ]
    with pyedflib.EdfReader(str(path)) as reader:
        assert len(reader.readAnnotations()[0]) == len(labels)
        for index, lead in enumerate(recording.leads):
            values = independent.signals[index].data
            np.testing.assert_allclose(values, reader.readSignal(index), rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(
                values[: lead.samples.size] / 1000, lead.samples, atol=lead.step_mv / 10
            )


def test_refuses_labels_that_edflib_would_change(tmp_path: Path, recording: Recording) -> None:
    crowded = tuple(BeatLabel(sample, "N") for sample in range(11 * 64 + 1))
    with pytest.raises(ValueError, match=r"705 labels in 11 data records"):
        ADAPTER.write(replace(recording, labels=crowded), tmp_path)
    with pytest.raises(ValueError, match=r"20000 Hz"):
        ADAPTER.write(replace(recording, fs=20_000.0, labels=(BeatLabel(7, "N"),)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_recording_with_gaps_is_not_written(tmp_path: Path, recording: Recording) -> None:
    samples = recording.leads[0].samples.copy()
    samples[5] = np.nan
    with pytest.raises(ValueError, match=r"cannot hold gaps, but samples are missing in MLII"):
        ADAPTER.write(
            replace(recording, leads=(replace(recording.leads[0], samples=samples),)), tmp_path
        )


def test_written_lead_of_any_name_reads_back_as_ecg(tmp_path: Path, recording: Recording) -> None:
    named = replace(recording, leads=(replace(recording.leads[0], name="noise1"),))
    assert ADAPTER.read(ADAPTER.write(named, tmp_path)[0], DEFAULT).leads[0].name == "ECG noise1"


def _with_stamps(tmp_path: Path, every: float, records: int, notes: Mapping[int, str]) -> Path:
    """1 s data records that say that they start `every` seconds. notes : by the record in whose
    middle they stand.
    """
    path = _write(
        tmp_path / "x.edf",
        [_signal("ECG", seconds=records)],
        [edfio.EdfAnnotation(0, None, "x" * 40)],
    )
    header, raw = read_header(path), bytearray(path.read_bytes())
    width = header.channels[-1].samples * header.sample_bytes
    for number in range(records):
        text = f"+{number * every:.4f}\x14\x14\0"
        text += f"+{number * every + 0.5:.4f}\x14{notes[number]}\x14\0" if number in notes else ""
        end = header.size + (number + 1) * header.record_bytes
        raw[end - width : end] = text.encode().ljust(width, b"\0")
    path.write_bytes(raw)
    return path
