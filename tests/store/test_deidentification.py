"""Nothing that names a person enters the home or the streams."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
import wfdb as library

from ecgfl_cli.demo.synthesiser import synthesise

Ecgfl = Callable[..., Any]
PLANTED = ("Zebulon", "Quackenbush", "17-MAR-1948", "1948", "MRN-5550123", "Holter7731")
HASH = re.compile(rb"[0-9a-f]{32,}")
"""Hashes and record names hold any four digits sooner or later."""


def edf(export: Any) -> Path:
    path: Path = export(1, "edf")
    plant_in_the_header(path)
    return path


def plant_in_the_header(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[8:88] = b"MRN-5550123 M 17-MAR-1948 Zebulon_Quackenbush".ljust(80)
    field = bytes(raw[88:168]).decode().strip()
    samples = next(part for part in field.split() if part.startswith("samples="))
    raw[88:168] = f"Startdate 17-MAR-1948 MRN-5550123 Quackenbush Holter7731 {samples}".encode().ljust(80)[:80]
    raw[168:176] = b"17.03.85"
    path.write_bytes(raw)


def wfdb(export: Any) -> Path:
    path = export(1, "wfdb")
    lines = path.read_text().splitlines()
    lines[0] += " 10:11:12 17/03/1948"
    lines += ["# 69 M Zebulon Quackenbush", "# MRN-5550123 born 17-MAR-1948 Holter7731"]
    path.write_text("\n".join(lines) + "\n")
    recording = synthesise(1, 60, 250, pvc_share=0.15)
    samples, symbols = zip(*recording.labels, strict=True)
    notes = ["Quackenbush, born 17-MAR-1948"] + [""] * (len(samples) - 1)
    library.wrann(path.stem, "atr", np.array(samples), list(symbols), aux_note=notes, write_dir=str(path.parent))
    return path


def csv(export: Any) -> Path:
    path = export(1, "csv")
    lines = path.read_text().splitlines()
    lines[:0] = ["# patient: Zebulon Quackenbush", "# born: 17-MAR-1948", "# id: MRN-5550123", "# device: Holter7731"]
    path.write_text("\n".join(lines) + "\n")
    return path


def edf_notes(export: Any) -> Path:
    """Free text in annotations, in the transducer and the prefilter fields."""
    path: Path = export(1, "edf")
    file = edfio.read_edf(path)
    file.add_annotations([edfio.EdfAnnotation(1, None, "Zebulon MRN-5550123"), edfio.EdfAnnotation(2, 3, "Quackenbush woke up")])
    file.signals[0].transducer_type = "Holter7731 of Quackenbush"
    file.write(path)
    plant_in_the_header(path)
    return path


def lead_names(export: Any) -> Path:
    recording = synthesise(1, 60, 250, pvc_share=0.15, leads=("Zebulon Quackenbush", "MRN-5550123"))
    return export(recording, "csv")


@pytest.mark.parametrize("make", [edf, edf_notes, wfdb, csv, lead_names])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_planted_identifier_is_anywhere(
    site: Path, ecgfl: Ecgfl, export: Any, files_of: Any, make: Callable[[Any], Path], options: tuple[str, ...]
) -> None:
    path = make(export)
    assert "quackenbush" in path.read_bytes().decode("latin-1").lower()
    streams = ""
    for command in (("ingest", path), ("segment",), ("dataset", "list"), ("validate",), ("audit", "show")):
        ran = ecgfl(*command, *options)
        assert ran.code == 0, ran
        streams += ran.out + ran.err
    (record,) = (entry.name for entry in (site / "records").iterdir())
    shown = ecgfl("dataset", "show", record, *options)
    streams += shown.out + shown.err
    home = {name: raw for name, raw in files_of(site).items() if name not in ("keys/node", "keys/node.pub", "keys/secret")}
    for planted in PLANTED:
        assert planted.lower() not in streams.lower()
        for name, raw in home.items():
            readable = HASH.sub(b"", raw.lower() + name.lower().encode())
            assert planted.lower().encode() not in readable, f"{planted} in {name}"


@pytest.mark.parametrize("make", [edf, wfdb, csv])
def test_the_sources_name_and_folder_do_not_enter_the_home(
    site: Path, ecgfl: Ecgfl, export: Any, files_of: Any, tmp_path: Path, make: Callable[[Any], Path]
) -> None:
    path = make(export)
    renamed = tmp_path / "Ward-Xylophone"
    path.parent.rename(renamed)
    assert ecgfl("ingest", renamed).code == 0
    for name, raw in files_of(site).items():
        assert b"synthetic-1" not in raw + name.encode()
        assert b"xylophone" not in raw.lower()


def test_common_lead_names_stay_and_others_become_numbers(site: Path, ecgfl: Ecgfl, export: Any) -> None:  # noqa: ARG001
    ecgfl("ingest", export(synthesise(1, 60, 250, leads=("Doe John", "V5", "aVF", "Jane II")), "csv"))
    (record,) = ecgfl("dataset", "list", "--json").json["recordings"]
    first, *common, last = record["leads"]
    assert common == ["V5", "aVF"]
    assert all(re.fullmatch(r"ECG\d", name) for name in (first, last))
    assert first != last


def test_a_renamed_lead_is_not_confused_with_one_of_that_name(site: Path, ecgfl: Ecgfl, export: Any) -> None:
    """ "Doe John" may become ECG1 only if no other lead is called so: beats would be cut from the wrong one."""
    recording = synthesise(1, 60, 250, leads=("Doe John", "ECG1"))
    recording = replace(
        recording, leads=(recording.leads[0], replace(recording.leads[1], samples=-0.5 * recording.leads[1].samples))
    )
    settings = site / "site.toml"
    settings.write_text(settings.read_text().replace('# lead = "MLII"', 'lead = "ECG1"'))
    assert ecgfl("ingest", export(recording, "csv")).code == 0
    (record,) = ecgfl("dataset", "list", "--json").json["recordings"]
    assert len(set(record["leads"])) == 2
    stored = library.rdrecord(str(site / "records" / record["record"] / record["record"]))
    column = stored.sig_name.index(record["lead"])
    assert abs(stored.p_signal[:, column] - recording.leads[1].samples).max() < 0.005


def test_the_same_patient_has_one_pseudonym_over_recordings(site: Path, ecgfl: Ecgfl, export: Any) -> None:  # noqa: ARG001
    for seed in (1, 2):
        path = export(seed, "edf")
        raw = bytearray(path.read_bytes())
        raw[8:88] = b"MRN-5550123 X X Quackenbush".ljust(80)
        path.write_bytes(raw)
    assert ecgfl("ingest", path.parent).code == 0
    records = ecgfl("dataset", "list", "--json").json["recordings"]
    assert len(records) == 2
    assert len({record["patient"] for record in records}) == 1


def test_recordings_with_unusual_lead_names_stay_apart(site: Path, ecgfl: Ecgfl, export: Any) -> None:
    for seed in (1, 2):
        export(synthesise(seed, 60, 250, leads=("Doe John", "Doe Jane")), "csv")
    folder = export(synthesise(3, 60, 250, leads=("holter A", "holter B")), "csv").parent
    assert ecgfl("ingest", folder).code == 0
    records = ecgfl("dataset", "list", "--json").json["recordings"]
    assert len({record["record"] for record in records}) == 3
    assert all(len(record["record"]) == 16 for record in records)
    assert sorted(path.name for path in (site / "records").iterdir()) == sorted(record["record"] for record in records)
