"""Exports of devices: Apple Watch, OpenSignals, BioSPPy, PhysioNet's own CSV."""

import json
from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.errors import FileUnreadable, LeadMissing, RateUnknown, UnitUnknown
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.tables.adapter import CsvAdapter

ADAPTER = CsvAdapter()
MICROVOLTS = [-28.535, 12, 0.5, *(row % 300 - 150.25 for row in range(600))]

ENGLISH = """Name,John Roe
Date of Birth,"Jan 8, 1948"
Recorded Date,2021-02-01 12:34:56 +0100
Classification,Sinus Rhythm
Symptoms,
Software Version,1.90
Device,"Watch6,1"
Sample Rate,512 hertz


Lead,Lead I
Unit,µV

"""
GERMAN = """Name,"Roe, John"
Geburtsdatum,"08.01.1948"
Aufzeichnungsdatum,"2021-02-01 12:34:56 +0100"
Klassifizierung,Sinusrhythmus
Symptome,
Softwareversion,"1,90"
Gerät,"Watch6,1"
Abtastrate,"511,422\u00a0Hertz"


Ableitung,Ableitung I
Einheit,µV

"""
JAPANESE = """名前,
サンプルレート,512 hertz
デバイス,"Watch6,1"

リード,I
単位,µV

"""


@pytest.mark.parametrize(
    ("header", "comma", "fs", "lead", "person"),
    [
        (ENGLISH, False, 512, "Lead I", "john roe 1948-01-08"),
        (ENGLISH, True, 512, "Lead I", "john roe 1948-01-08"),
        (GERMAN, True, 511.422, "Ableitung I", "roe, john 1948-01-08"),
        (JAPANESE, True, 512, "I", ""),
    ],
)
def test_reads_apple_watch_in_many_languages(
    tmp_path: Path, header: str, comma: bool, fs: float, lead: str, person: str
) -> None:
    path = tmp_path / "ecg_2021-02-01.csv"
    rows = "\n".join(f"{value:.6g}" for value in MICROVOLTS)
    path.write_text(header + (rows.replace(".", ",") if comma else rows) + "\n", encoding="utf-8")
    found = ADAPTER.read(path, ReadOptions())
    assert (found.fs, [each.name for each in found.leads]) == (fs, [lead])
    np.testing.assert_allclose(found.leads[0].samples, np.array(MICROVOLTS) / 1000, atol=1e-6)
    assert found.source.person == person
    assert found.source.patient == person


def test_a_watchs_thousands_are_not_taken_for_decimals(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(GERMAN + "-28,535\n12\n" * 50 + '"1.234,5"\n', encoding="utf-8")
    with pytest.raises(FileUnreadable, match=r"line 114 column 1 is '1\.234,5', not a number"):
        ADAPTER.read(path, ReadOptions())


def opensignals(
    path: Path, sensors: list[str], *, lost: int | None = None, modulus: int = 16
) -> Path:
    device = {
        "sensor": sensors,
        "device name": "00:07:80:D8:AB:58",
        "column": ["nSeq", "DI", *(f"CH{number + 1}" for number in range(len(sensors)))],
        "time": "9:39:1.0",
        "date": "2017-5-22",
        "device": "biosignalsplux",
        "sampling rate": 1000,
        "label": [f"CH{number + 1}" for number in range(len(sensors))],
        "resolution": [16] * len(sensors),
    }
    lines = [
        "# OpenSignals Text File Format",
        f"# {json.dumps({'00:07:80:D8:AB:58': device})}",
        "# EndOfHeader",
    ]
    for row in range(500):
        if row != lost:
            lines.append(
                "\t".join(
                    map(
                        str,
                        [
                            row % modulus,
                            0,
                            *(32768 + row % 7 + each for each in range(len(sensors))),
                        ],
                    )
                )
                + "\t"
            )
    path.write_text("\n".join(lines) + "\n")
    return path


def test_opensignals_tells_which_column_is_the_ecg(tmp_path: Path) -> None:
    path = opensignals(tmp_path / "x.txt", ["EDA", "ECG"])
    assert ADAPTER.recognises(path)
    found = ADAPTER.read(path, ReadOptions(units="adc:21845.3:32768"))
    assert (found.fs, [lead.name for lead in found.leads]) == (1000.0, ["ECG"])
    np.testing.assert_allclose(found.leads[0].samples[:3], np.arange(1, 4) / 21845.3, rtol=1e-6)
    with pytest.raises(UnitUnknown, match=r"column 'ECG'.*data sheet.*--units adc:21845\.3:32768"):
        ADAPTER.read(path, ReadOptions())


def test_opensignals_without_an_ecg_asks_for_the_lead(tmp_path: Path) -> None:
    path = opensignals(tmp_path / "x.txt", ["RAW", "EDA"])
    with pytest.raises(LeadMissing, match=r"no channel is known as an ECG lead .*'CH1'"):
        ADAPTER.read(path, ReadOptions(units="mV"))
    assert ADAPTER.read(path, ReadOptions(units="mV", leads=("CH1",))).leads[0].name == "CH1"


def test_refuses_rows_that_opensignals_lost(tmp_path: Path) -> None:
    path = opensignals(tmp_path / "x.txt", ["ECG"], lost=100)
    with pytest.raises(
        FileUnreadable, match=r"rows are missing near line 104: the counter goes from 3 to 5"
    ):
        ADAPTER.read(path, ReadOptions(units="mV"))
    path = opensignals(tmp_path / "y.txt", ["ECG"], modulus=1)
    assert ADAPTER.read(path, ReadOptions(units="mV")).length == 500


@pytest.mark.parametrize(
    ("json_text", "error", "said"),
    [
        ("{}", RateUnknown, "sampling rates"),
        ('{"a": 1}', FileUnreadable, "line 2: the OpenSignals header cannot be understood"),
        ("{", FileUnreadable, "line 2: the OpenSignals header cannot be understood"),
        (
            '{"a": {"column": ["nSeq"], "sensor": [], "sampling rate": 0}}',
            RateUnknown,
            "sampling rates",
        ),
        (
            '{"a": {"column": ["nSeq"], "sensor": [], "sampling rate": 100}}',
            FileUnreadable,
            "names 1 columns, but line 4 has 2",
        ),
    ],
)
def test_a_broken_opensignals_header_is_refused(
    tmp_path: Path, json_text: str, error: type, said: str
) -> None:
    path = tmp_path / "x.txt"
    path.write_text(
        f"# OpenSignals Text File Format\n# {json_text}\n# EndOfHeader\n" + "0\t1\n1\t2\n2\t3\n"
    )
    with pytest.raises(error, match=said):
        ADAPTER.read(path, ReadOptions(units="mV"))


def test_biosppys_text_states_rate_and_lead_but_no_unit(real_data: Path) -> None:
    found = ADAPTER.read(real_data / "csv" / "biosppy_ecg.txt", ReadOptions(units="adc:1000:2048"))
    assert (found.fs, found.length, [lead.name for lead in found.leads]) == (
        1000.0,
        15_000,
        ["ECG"],
    )


def test_reads_physionet_csv_with_line_of_units(tmp_path: Path) -> None:
    rows = "".join(
        f"'{row // 15000}:{row % 15000 / 250:06.3f}',{row % 7 / 200},{row % 5 * 5}\n"
        for row in range(16_000)
    )
    path = tmp_path / "x.csv"
    path.write_text(f"'Elapsed time','MLII','V5'\n'hh:mm:ss.mmm','mV','uV'\n{rows}")
    found = ADAPTER.read(path, ReadOptions())
    assert (found.fs, found.length, [lead.name for lead in found.leads]) == (
        250.0,
        16_000,
        ["MLII", "V5"],
    )
    assert [lead.step_mv for lead in found.leads] == [0.005, 0.005]
