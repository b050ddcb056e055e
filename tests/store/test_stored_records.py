"""What is in records/ opens with the WFDB library and is what the source held."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from ecgfl_adapters.discovery import read
from ecgfl_adapters.recording import Recording

from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.store.signals import read_signals

Ecgfl = Callable[..., Any]


def stored_path(site: Path) -> str:
    (folder,) = (site / "records").iterdir()
    return str(folder / folder.name)


def assert_same(path: str, source: Recording) -> None:
    found = wfdb.rdrecord(path)
    assert found.fs == source.fs
    assert found.sig_name == [lead.name for lead in source.leads]
    for column, lead in enumerate(source.leads):
        np.testing.assert_array_equal(np.isnan(found.p_signal[:, column]), np.isnan(lead.samples))
        assert np.nanmax(np.abs(found.p_signal[:, column] - lead.samples)) <= lead.step_mv
    annotations = wfdb.rdann(path, "atr")
    assert list(zip(annotations.sample.tolist(), annotations.symbol, strict=True)) == list(
        source.labels or ()
    )


@pytest.mark.parametrize("file_format", ["wfdb", "edf", "csv"])
def test_a_stored_record_equals_its_source(
    site: Path, ecgfl: Ecgfl, export: Any, file_format: str
) -> None:
    path = export(1, file_format)
    assert ecgfl("ingest", path).code == 0
    assert_same(stored_path(site), read(path))


def test_gaps_are_stored_as_gaps(site: Path, ecgfl: Ecgfl, export: Any) -> None:
    recording = synthesise(1, 60, 250)
    leads = []
    for lead in recording.leads:
        samples = lead.samples.copy()
        samples[5000:5600] = np.nan
        leads.append(replace(lead, samples=samples))
    path = export(replace(recording, leads=tuple(leads)), "csv")
    assert ecgfl("ingest", path).code == 0
    assert np.isnan(wfdb.rdrecord(stored_path(site)).p_signal[5000:5600]).all()
    assert_same(stored_path(site), read(path))


def test_a_real_record_is_stored_as_it_is(site: Path, ecgfl: Ecgfl, real_data: Path) -> None:
    path = real_data / "mitdb" / "100.hea"
    assert ecgfl("ingest", path).code == 0
    assert_same(stored_path(site), read(path))
    (record,) = ecgfl("dataset", "list", "--json").json["recordings"]
    assert record["counts"] == {"N": 2239, "S": 33, "V": 1}


def test_a_damaged_stored_record_is_found_by_validate(
    site: Path, ecgfl: Ecgfl, export: Any
) -> None:
    assert ecgfl("ingest", export(1)).code == 0
    assert ecgfl("validate").code == 0
    path = Path(stored_path(site) + ".dat")
    raw = bytearray(path.read_bytes())
    raw[1000] ^= 0x55
    path.write_bytes(raw)
    ran = ecgfl("validate")
    assert ran.code == 3
    assert len(ran.problems) == 1


def test_removing_a_record_removes_every_file_of_it(
    site: Path, ecgfl: Ecgfl, export: Any, files_of: Any
) -> None:
    assert ecgfl("ingest", export(1), export(2)).code == 0
    assert ecgfl("segment").code == 0
    gone, kept = (
        record["record"] for record in ecgfl("dataset", "list", "--json").json["recordings"]
    )
    assert ecgfl("dataset", "remove", gone).code == 0
    assert [
        record["record"] for record in ecgfl("dataset", "list", "--json").json["recordings"]
    ] == [kept]
    names = "\n".join(files_of(site))
    assert gone not in names
    assert kept in names
    assert gone.encode() in (site / "audit.jsonl").read_bytes()


def test_removing_what_is_not_there_is_a_usage_error(site: Path, ecgfl: Ecgfl) -> None:  # noqa: ARG001
    for verb in ("remove", "show"):
        ran = ecgfl("dataset", verb, "0123456789abcdef")
        assert ran.code == 2
        assert "0123456789abcdef" in ran.problems[0]


@pytest.mark.parametrize("name", ["../keys", "..", "*", "%"])
def test_removing_never_leaves_the_store(
    site: Path, ecgfl: Ecgfl, export: Any, files_of: Any, name: str
) -> None:
    assert ecgfl("ingest", export(1)).code == 0
    before = files_of(site)
    assert ecgfl("dataset", "remove", name).code == 2
    assert files_of(site) == before


def test_all_leads_of_a_stored_record_are_used(site: Path, ecgfl: Ecgfl, export: Any) -> None:
    """An unusual name becomes ECG1, which must not take precedence over other leads."""
    settings = site / "site.toml"
    settings.write_text(
        settings.read_text().replace(
            '# ecg_channels = ["Kanal *"]', 'ecg_channels = ["V4", "Kanal *"]'
        )
    )
    path = export(synthesise(1, 60, 250, leads=("V4", "Kanal 7")), "csv")
    assert ecgfl("ingest", path).code == 0
    for command in ("segment", "validate"):
        assert ecgfl(command).code == 0
    (record,) = ecgfl("dataset", "list", "--json").json["recordings"]
    assert (record["leads"], record["lead"]) == (["V4", "ECG1"], "V4")
    (stored,) = (site / "records").iterdir()
    assert [lead.name for lead in read_signals(site / "records", stored.name).leads] == [
        "V4",
        "ECG1",
    ]
