"""The channels that are read as leads, and their scale."""

import math
from pathlib import Path

import edfio
import numpy as np
import pytest
from ecgfl_adapters.channel_kinds import is_ecg
from ecgfl_adapters.edf.adapter import EdfAdapter
from ecgfl_adapters.errors import FileUnreadable, LeadMissing, UnitUnknown
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.tables.adapter import CsvAdapter
from ecgfl_adapters.tables.explain import explain

IN_MV = ReadOptions(fs=250, units="mV")
WAVE = [round(800 + 500 * np.sin(row / 9) + row % 7) for row in range(500)]


def _table(folder: Path, titles: str, rows: list[str]) -> Path:
    path = folder / "x.csv"
    path.write_text("\n".join([titles, *rows]) + "\n", encoding="utf-8")
    return path


def _read(folder: Path, titles: str, rows: list[str], options: ReadOptions = IN_MV) -> Recording:
    return CsvAdapter().read(_table(folder, titles, rows), options)


def _names(found: Recording) -> list[str]:
    return [lead.name for lead in found.leads]


@pytest.mark.parametrize(
    "name",
    [
        "F3-M2",
        "E1-M2",
        "Chin1-Chin2",
        "ABD",
        "SpO2",
        "ECG Imped",
        "ECG_R_Peaks",
        "ECG_Phase_Atrial",
        "ECG HR",
        "Sample Index",
    ],
)
def test_other_channels_are_no_leads(name: str) -> None:
    assert not is_ecg(name)


@pytest.mark.parametrize(
    "name",
    [
        "ECG",
        "EKG II",
        "aVR",
        "Lead V",
        "Lead aVF",
        "V lead",
        "aVF lead",
        "D II",
        "Modified Lead II",
        "RA-LL",
        "LA-RA",
        "Frank X",
        "MLII",
        "V5",
        "ECG LA-RA",
        "EKG1-EKG2",
        "ECG I-Ref",
        "ECGL-ECGR",
    ],
)
def test_knows_leads(name: str) -> None:
    assert is_ecg(name)


@pytest.mark.parametrize(
    "name",
    ["Fp1", "EEG C3-A2", "SEEG D1", "LOC", "EMG1", "LEG/R", "Pleth", "Resp effort", "Thorax",
     "Abdo", "Flow", "Snore",
     "Body position",
     "ACC_X", "Acc Y", "GSR", "EDA", "Temp", "Marker", "Event", "Battery", "VBat", "Steps", "HR",
     "RR", "PTT",
     "ECG Rate", "ECG_Quality",
     "lead_off", "ecg_lead_off", "lo+", "LO-", "ECG LO+", "LEAD_OFF_P", "loff_statp",
     "electrode_off",
     "ECG time", "ecg_timestamp",
     "Brustkorb", "Sauerstoff", "dZ/dt", "Motion", "STI 014"],
)  # fmt: skip
@pytest.mark.parametrize("ecg", ["ECG", "EKG1-EKG2", "ECG I-Ref", "ECGL-ECGR", "MLII", "aVF lead"])
def test_other_channels_are_left_out_and_refused_alone(tmp_path: Path, name: str, ecg: str) -> None:
    rows = [f"{row / 250:.3f},{value % 13 / 10},{value}" for row, value in enumerate(WAVE)]
    assert _names(_read(tmp_path, f"time_s,{name} (uV),{ecg} (uV)", rows, ReadOptions())) == [ecg]
    assert _names(_read(tmp_path, f"time_s,{name},{ecg}", rows)) == [ecg]
    with pytest.raises(LeadMissing, match=r"no channel is known as an ECG lead .*--lead NAME"):
        _read(
            tmp_path, f"time_s,{name} (uV)", [row.rpartition(",")[0] for row in rows], ReadOptions()
        )


@pytest.mark.parametrize("beside", ["EEG C3", "EMG"])
@pytest.mark.parametrize("name", ["V1", "CH1"])
def test_refuses_a_channel_in_doubt(tmp_path: Path, name: str, beside: str) -> None:
    rows = [f"{row / 250:.3f},{value % 13 / 10},{value}" for row, value in enumerate(WAVE)]
    with pytest.raises(LeadMissing, match=r"no channel is known as an ECG lead .*--lead NAME"):
        _read(tmp_path, f"time_s,{beside} (uV),{name} (uV)", rows, ReadOptions())
    found = _read(tmp_path, f"time_s,{beside} (uV),{name} (uV)", rows, ReadOptions(leads=(name,)))
    assert _names(found) == [name]


def test_a_pattern_of_the_site_names_the_ecg(tmp_path: Path) -> None:
    rows = [f"{value % 13},{value},{value % 7}" for value in WAVE]
    found = _read(
        tmp_path,
        "EEG C3,Kanal 1,V1",
        rows,
        ReadOptions(fs=250, units="uV", ecg_channels=("Kanal *",)),
    )
    assert _names(found) == ["Kanal 1"]


def test_a_column_of_zeros_and_ones_is_no_lead(tmp_path: Path) -> None:
    assert _names(
        _read(tmp_path, "ECG,ECG found", [f"{value},{int(value % 9 == 0)}" for value in WAVE])
    ) == ["ECG"]


def test_lead_v_has_unit_of_line_above(tmp_path: Path) -> None:
    rows = [f"{row / 250},{value},{value}" for row, value in enumerate(WAVE)]
    found = _read(tmp_path, "Unit,uV\nTime (s),Lead II,Lead V", rows, ReadOptions())
    assert _names(found) == ["Lead II", "Lead V"]
    np.testing.assert_allclose(np.asarray(found.leads[1].samples), np.array(WAVE) / 1000, rtol=1e-6)


def test_prefers_the_raw_signal_of_a_table(tmp_path: Path) -> None:
    rows = [f"{value},{value + 1},{int(value % 9 == 0)}" for value in WAVE]
    assert _names(_read(tmp_path, "ECG_Raw,ECG_Clean,ECG_R_Peaks", rows)) == ["ECG_Raw"]


def test_a_phase_that_rises_is_no_time(tmp_path: Path) -> None:
    rows = [f"{math.sin(row / 9):.4f},{row / 4000:.5f}" for row in range(1000)]
    assert _names(_read(tmp_path, "ECG_Raw,ECG_Phase_Completion_Atrial", rows)) == ["ECG_Raw"]


def test_depth_electrodes_beside_an_ecg_are_left_out(tmp_path: Path) -> None:
    signals = [
        edfio.EdfSignal(
            np.sin(np.arange(1000) / 9),
            100,
            label=name,
            physical_dimension="mV",
            physical_range=(-2, 2),
        )
        for name in ("D1", "D2", "D3", "D4", "V1", "ECG")
    ]
    edfio.Edf(signals).write(tmp_path / "x.edf")
    assert _names(EdfAdapter().read(tmp_path / "x.edf", ReadOptions())) == ["ECG"]


def test_v_after_a_lead_is_no_unit(tmp_path: Path) -> None:
    rows = [str(value / 1000) for value in WAVE]
    assert _names(_read(tmp_path, "ECG V", rows)) == ["ECG V"]
    with pytest.raises(UnitUnknown):
        _read(tmp_path, "ECG V", rows, ReadOptions(fs=250))
    found = _read(tmp_path, "ECG (V)", rows, ReadOptions(fs=250))
    np.testing.assert_allclose(np.asarray(found.leads[0].samples), WAVE, rtol=1e-6)


def test_equal_titles_keep_their_columns_in_the_layout(tmp_path: Path) -> None:
    path = _table(tmp_path, "ECG,ECG", [f"{value},{value + 3}" for value in WAVE])
    assert '"1": "ECG", "2": "ECG#2"' in explain(path, IN_MV).layout.replace('" = "', '": "')


@pytest.mark.parametrize("value", ["-32768", "-9999", "-", "--"])
def test_reads_missing_samples_as_gaps(tmp_path: Path, value: str) -> None:
    rows = [value if 100 <= row < 150 else str(each) for row, each in enumerate(WAVE)]
    found = _read(tmp_path, "II", rows, ReadOptions(fs=250, units="uV"))
    assert [tuple(gap) for gap in found.gaps()] == [(100, 150)]
    assert [remark.code for remark in found.remarks] == (
        ["missing-samples"] if value[1:].isdigit() else []
    )


@pytest.mark.parametrize("mark", [",", "."])
def test_refuses_thousands_separators(tmp_path: Path, mark: str) -> None:
    rows = [f"{row}\t{value:,}".replace(",", mark) for row, value in enumerate(WAVE)]
    with pytest.raises(FileUnreadable, match="thousands"):
        _read(tmp_path, "sample\tMLII", rows, ReadOptions(fs=250, units="adc:200:1024"))


@pytest.mark.parametrize("sign", ["\u2212", "\u2013"])
def test_reads_minus_signs(tmp_path: Path, sign: str) -> None:
    rows = [str(value - 800).replace("-", sign) for value in WAVE]
    samples = np.asarray(
        _read(tmp_path, "II", rows, ReadOptions(fs=250, units="uV")).leads[0].samples
    )
    np.testing.assert_allclose(samples, (np.array(WAVE) - 800) / 1000, atol=1e-6)


def test_keeps_unknown_unit(tmp_path: Path) -> None:
    rows = [f"{row / 250},{value},{value % 13}" for row, value in enumerate(WAVE)]
    assert _names(_read(tmp_path, "time,ECG,Foo\ns,uV,xyz", rows, ReadOptions())) == ["ECG"]


def test_refuses_unsigned_digital_ranges(tmp_path: Path) -> None:
    signal = edfio.EdfSignal(
        np.sin(np.arange(1000) / 9),
        100,
        label="ECG",
        physical_dimension="mV",
        physical_range=(-2, 2),
    )
    edfio.Edf([signal]).write(tmp_path / "x.edf")
    raw = (tmp_path / "x.edf").read_bytes()
    raw = raw.replace(b"-32768  ", b"0       ", 1).replace(b"32767   ", b"65535   ", 1)
    (tmp_path / "x.edf").write_bytes(raw)
    with pytest.raises(FileUnreadable, match="16 signed bits"):
        EdfAdapter().read(tmp_path / "x.edf", ReadOptions())
