"""EDF files that ecgfl writes."""

from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pyedflib
import pytest
from ecgfl_adapters.edf.adapter import EdfAdapter
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Recording

ADAPTER = EdfAdapter()
DEFAULT = ReadOptions()


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
