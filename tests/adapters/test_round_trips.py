"""A minute of mitdb 100 is the same after conversion through all formats."""

from pathlib import Path

import numpy as np
import pyedflib
from ecgfl_adapters import read
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.registry import adapters


def _same(found: Recording, expected: Recording) -> None:
    assert (found.fs, found.length, found.labels) == (expected.fs, expected.length, expected.labels)
    assert [lead.name for lead in found.leads] == [lead.name for lead in expected.leads]
    for lead, written in zip(found.leads, expected.leads, strict=True):
        np.testing.assert_allclose(lead.step_mv, written.step_mv, rtol=1e-6)
        assert np.abs(lead.samples - written.samples).max() <= written.step_mv / 100


def test_wfdb_edf_csv_and_wfdb_again_hold_the_same(mitdb_minute: Recording, tmp_path: Path) -> None:
    found = mitdb_minute
    for number, name in enumerate(("wfdb", "edf", "csv", "wfdb")):
        folder = tmp_path / str(number)
        folder.mkdir()
        written = adapters()[name].write(found, folder)
        found = read(written[0])
        assert found.source.format == name
        _same(found, mitdb_minute)


def test_an_independent_reader_finds_the_same_in_the_edf(
    mitdb_minute: Recording, tmp_path: Path
) -> None:
    path = adapters()["edf"].write(mitdb_minute, tmp_path)[0]
    with pyedflib.EdfReader(str(path)) as reader:
        assert (reader.getSampleFrequency(0), reader.getPhysicalDimension(0)) == (360.0, "uV")
        for index, lead in enumerate(mitdb_minute.leads):
            np.testing.assert_allclose(
                reader.readSignal(index) / 1000, lead.samples, atol=lead.step_mv / 100
            )
        onsets, _, texts = reader.readAnnotations()
    assert [(round(onset * 360), text) for onset, text in zip(onsets, texts, strict=True)] == list(
        mitdb_minute.labels or ()
    )
