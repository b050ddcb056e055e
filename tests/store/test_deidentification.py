"""Nothing that names a person enters the home or the streams."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
import wfdb as library

from ecgfl_cli.demo.synthesiser import synthesise

Ecgfl = Callable[..., Any]
PLANTED = (
    "Zebulon",
    "Quackenbush",
    "17-MAR-1948",
    "1948-03-17",
    "1948",
    "MRN-5550123",
    "Holter7731",
    "00:07:80:D8:AB:58",
    "Watch6",
)
HASH = re.compile(rb"[0-9a-f]{16,}")
"""Hashes and pseudonyms hold any four digits sooner or later."""


def edf(export: Any) -> Path:
    path: Path = export(1, "edf")
    plant_in_the_header(path)
    return path


def plant_in_the_header(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[8:88] = b"MRN-5550123 M 17-MAR-1948 Zebulon_Quackenbush".ljust(80)
    field = bytes(raw[88:168]).decode().strip()
    samples = next(part for part in field.split() if part.startswith("samples="))
    raw[88:168] = (
        f"Startdate 17-MAR-1948 MRN-5550123 Quackenbush Holter7731 {samples}".encode().ljust(80)[
            :80
        ]
    )
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
    library.wrann(
        path.stem,
        "atr",
        np.array(samples),
        list(symbols),
        aux_note=notes,
        write_dir=str(path.parent),
    )
    return path


def csv(export: Any) -> Path:
    path = export(1, "csv")
    lines = path.read_text().splitlines()
    lines[:0] = [
        "# patient: Zebulon Quackenbush",
        "# born: 17-MAR-1948",
        "# id: MRN-5550123",
        "# device: Holter7731",
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def apple_watch(export: Any) -> Path:
    """Name, birth date and device above the samples, as in the export of the Health app."""
    recording = synthesise(1, 60, 512, pvc_share=0.15)
    samples = recording.leads[0].samples * 1000
    above = (
        "Name,Zebulon Quackenbush\nDate of Birth,17-MAR-1948\nRecorded Date,1948-03-17 12:34:56 "
        "+0100\n"
        "Classification,MRN-5550123\nSymptoms,\nSoftware "
        'Version,Holter7731\nDevice,"Watch6,1"\nSample Rate,512 hertz\n\n\n'
        "Lead,Lead I\nUnit,µV\n\n"
    )
    path = export(recording, "csv").with_name("electrocardiogram.csv")
    path.write_text(
        above + "\n".join(f"{sample:.3f}" for sample in samples) + "\n", encoding="utf-8"
    )
    path.with_name("synthetic-1.csv").unlink()
    path.with_name("synthetic-1.labels.csv").rename(path.with_name("electrocardiogram.labels.csv"))
    return path


def opensignals(export: Any) -> Path:
    """A JSON header has the recorder's address, its owner and the date; site.toml the units."""
    samples = synthesise(1, 60, 250, pvc_share=0.15).leads[0].samples
    header = {
        "sensor": ["ECG"], "device name": "Holter7731", "column": ["nSeq", "DI", "CH1"],
        "comments": "Zebulon Quackenbush", "device connection": "BTH00:07:80:D8:AB:58",
        "date": "17-MAR-1948", "device": "biosignalsplux", "sampling rate": 250,
        "label": ["MRN-5550123"], "resolution": [16],
    }  # fmt: skip
    lines = [
        "# OpenSignals Text File Format",
        f"# {json.dumps({'00:07:80:D8:AB:58': header})}",
        "# EndOfHeader",
    ]
    lines += [
        f"{row % 16}\t0\t{sample * 21845.3 + 32768:.0f}\t" for row, sample in enumerate(samples)
    ]
    path = export(1, "csv").with_name("opensignals_000780D8AB58.txt")
    path.write_text("\n".join(lines) + "\n")
    path.with_name("synthetic-1.csv").unlink()
    path.with_name("synthetic-1.labels.csv").rename(
        path.with_name("opensignals_000780D8AB58.labels.csv")
    )
    home = Path(os.environ["ECGFL_HOME"])
    with (home / "site.toml").open("a") as file:
        file.write('\n[[csv]]\nfiles = "opensignals*.txt"\nunits = "adc:21845.3:32768"\n')
    return path


def stamps(export: Any) -> Path:
    """A date in each row, and a patient above them."""
    samples = synthesise(1, 60, 250, pvc_share=0.15).leads[0].samples
    begin = datetime(1948, 3, 17, 23, 59, 30)
    lines = [
        "Patient: Zebulon Quackenbush",
        "Patient ID: MRN-5550123",
        "Device: Holter7731",
        "Time;ECG (mV);Born 17-MAR-1948",
    ]
    for row, sample in enumerate(samples):
        time = (begin + timedelta(milliseconds=4 * row)).isoformat(timespec="milliseconds")
        lines.append(f"{time};{sample:.3f};MRN-5550123")
    path = export(1, "csv")
    path.write_text("\n".join(lines) + "\n")
    return path


def edf_notes(export: Any) -> Path:
    """Free text in annotations, in the transducer and the prefilter fields."""
    path: Path = export(1, "edf")
    file = edfio.read_edf(path)
    file.add_annotations(
        [
            edfio.EdfAnnotation(1, None, "Zebulon MRN-5550123"),
            edfio.EdfAnnotation(2, 3, "Quackenbush woke up"),
        ]
    )
    file.signals[0].transducer_type = "Holter7731 of Quackenbush"
    file.write(path)
    plant_in_the_header(path)
    return path


def lead_names(export: Any) -> Path:
    recording = synthesise(1, 60, 250, pvc_share=0.15, leads=("Zebulon Quackenbush", "MRN-5550123"))
    return export(recording, "csv")


@pytest.mark.parametrize(
    "make", [edf, edf_notes, wfdb, csv, apple_watch, opensignals, stamps, lead_names]
)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_planted_identifier_is_anywhere(
    site: Path,
    ecgfl: Ecgfl,
    export: Any,
    files_of: Any,
    make: Callable[[Any], Path],
    options: tuple[str, ...],
) -> None:
    path = make(export)
    assert "quackenbush" in path.read_bytes().decode("latin-1").lower()
    streams = ""
    for command in (
        ("ingest", path),
        ("segment",),
        ("dataset", "list"),
        ("validate",),
        ("audit", "show"),
    ):
        ran = ecgfl(*command, *options)
        assert ran.code == 0, ran
        streams += ran.out + ran.err
    (record,) = (entry.name for entry in (site / "records").iterdir())
    shown = ecgfl("dataset", "show", record, *options)
    streams += shown.out + shown.err
    home = {
        name: raw
        for name, raw in files_of(site).items()
        if name not in ("keys/node", "keys/node.pub", "keys/secret")
    }
    for planted in PLANTED:
        assert planted.lower().encode() not in HASH.sub(b"", streams.lower().encode())
        for name, raw in home.items():
            readable = HASH.sub(b"", raw.lower() + name.lower().encode())
            assert planted.lower().encode() not in readable, f"{planted} in {name}"


@pytest.mark.parametrize("make", [edf, wfdb, csv])
def test_the_sources_name_and_folder_do_not_enter_the_home(
    site: Path,
    ecgfl: Ecgfl,
    export: Any,
    files_of: Any,
    tmp_path: Path,
    make: Callable[[Any], Path],
) -> None:
    path = make(export)
    renamed = tmp_path / "Ward-Xylophone"
    path.parent.rename(renamed)
    assert ecgfl("ingest", renamed).code == 0
    for name, raw in files_of(site).items():
        assert b"synthetic-1" not in raw + name.encode()
        assert b"xylophone" not in raw.lower()


def test_common_lead_names_stay_and_others_become_numbers(
    site: Path, ecgfl: Ecgfl, export: Any
) -> None:
    settings = site / "site.toml"
    settings.write_text(
        settings.read_text().replace('# ecg_channels = ["Kanal *"]', 'ecg_channels = ["*"]')
    )
    ecgfl(
        "ingest", export(synthesise(1, 60, 250, leads=("Doe John", "V5", "aVF", "Jane II")), "csv")
    )
    (record,) = ecgfl("dataset", "list", "--json").json["recordings"]
    first, *common, last = record["leads"]
    assert common == ["V5", "aVF"]
    assert all(re.fullmatch(r"ECG\d", name) for name in (first, last))
    assert first != last


def test_a_renamed_lead_is_not_confused_with_one_of_that_name(
    site: Path, ecgfl: Ecgfl, export: Any
) -> None:
    """ "Doe John" becomes ECG1 only if no other lead has this name."""
    recording = synthesise(1, 60, 250, leads=("Doe John", "ECG1"))
    recording = replace(
        recording,
        leads=(
            recording.leads[0],
            replace(recording.leads[1], samples=-0.5 * recording.leads[1].samples),
        ),
    )
    settings = site / "site.toml"
    settings.write_text(
        settings.read_text()
        .replace('# lead = "MLII"', 'lead = "ECG1"')
        .replace('# ecg_channels = ["Kanal *"]', 'ecg_channels = ["*"]')
    )
    assert ecgfl("ingest", export(recording, "csv")).code == 0
    (record,) = ecgfl("dataset", "list", "--json").json["recordings"]
    assert len(set(record["leads"])) == 2
    stored = library.rdrecord(str(site / "records" / record["record"] / record["record"]))
    column = stored.sig_name.index(record["lead"])
    assert abs(stored.p_signal[:, column] - recording.leads[1].samples).max() < 0.005


def test_the_same_patient_has_one_pseudonym_over_recordings(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
) -> None:
    for seed in (1, 2):
        path = export(seed, "edf")
        raw = bytearray(path.read_bytes())
        raw[8:88] = b"MRN-5550123 X X Quackenbush".ljust(80)
        path.write_bytes(raw)
    assert ecgfl("ingest", path.parent).code == 0
    records = ecgfl("dataset", "list", "--json").json["recordings"]
    assert len(records) == 2
    assert len({record["patient"] for record in records}) == 1


def test_recordings_with_unusual_lead_names_stay_apart(
    site: Path, ecgfl: Ecgfl, export: Any
) -> None:
    for seed in (1, 2):
        export(synthesise(seed, 60, 250, leads=("Doe John", "Doe Jane")), "csv")
    folder = export(synthesise(3, 60, 250, leads=("holter A", "holter B")), "csv").parent
    assert ecgfl("ingest", folder).code == 0
    records = ecgfl("dataset", "list", "--json").json["recordings"]
    assert len({record["record"] for record in records}) == 3
    assert all(len(record["record"]) == 16 for record in records)
    assert sorted(path.name for path in (site / "records").iterdir()) == sorted(
        record["record"] for record in records
    )
