"""Reading CSV files: columns, units, times and labels."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb
from ecgfl_adapters.errors import (
    FileMissing,
    FileUnreadable,
    LabelsUnreadable,
    LeadMissing,
    RateUnknown,
    UnitUnknown,
)
from ecgfl_adapters.protocol import Adapter, ReadOptions
from ecgfl_adapters.recording import BeatLabel, Recording
from ecgfl_adapters.tables.adapter import CsvAdapter
from ecgfl_adapters.wfdb.adapter import WfdbAdapter

ADAPTER = CsvAdapter()
DEFAULT = ReadOptions()


def _file(folder: Path, text: str, name: str = "x.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def _rows(header: str, separator: str = ",", rows: int = 50) -> str:
    return (
        header
        + "\n"
        + "".join(f"{row / 250:.4f}{separator}{row % 7 / 10:.1f}\n" for row in range(rows))
    )


@pytest.fixture
def mitdb_csv(real_data: Path, tmp_path: Path) -> Path:
    """mitdb 100 in the widespread form: ADC units, no rate, annotations as text beside it."""
    counts = wfdb.rdrecord(str(real_data / "mitdb" / "100"), physical=False, sampto=20_000).d_signal
    rows = "".join(
        f"{number},{first},{second}\n" for number, (first, second) in enumerate(counts.tolist())
    )
    shutil.copy(real_data / "csv" / "100annotations.txt", tmp_path / "100annotations.txt")
    return _file(tmp_path, f"'sample #','MLII','V5'\n{rows}", "100.csv")


def test_reads_mitdb_csv_with_annotation_text(mitdb_csv: Path, real_data: Path) -> None:
    found = ADAPTER.read(mitdb_csv, ReadOptions(fs=360, units="adc:200:1024"))
    expected = WfdbAdapter().read(real_data / "mitdb" / "100.hea", DEFAULT)
    assert (found.fs, found.length, found.labels) == (360.0, 20_000, expected.labels)
    for lead, reference in zip(found.leads, expected.leads, strict=True):
        assert (lead.name, lead.step_mv) == (reference.name, 0.005)
        np.testing.assert_allclose(lead.samples, reference.samples[:20_000], atol=1e-6)


def test_refuses_mitdb_csv_without_rate_or_units(mitdb_csv: Path) -> None:
    with pytest.raises(RateUnknown, match=r"no time column.*--fs HZ"):
        ADAPTER.read(mitdb_csv, ReadOptions(units="adc:200:1024"))
    with pytest.raises(UnitUnknown, match=r"column 'MLII'.*--units adc:200:1024"):
        ADAPTER.read(mitdb_csv, ReadOptions(fs=360))


@pytest.mark.parametrize("record", ["119", "208"])
def test_annotation_text_equals_annotation_file(
    real_data: Path, mitdb_csv: Path, record: str
) -> None:
    options = ReadOptions(
        fs=360, units="adc:200:1024", labels=str(real_data / "csv" / f"{record}annotations.txt")
    )
    expected = WfdbAdapter().read(real_data / "mitdb" / f"{record}.hea", DEFAULT).labels
    assert ADAPTER.read(mitdb_csv, options).labels == expected


def test_reads_hobby_logger_with_jitter_and_comments(real_data: Path) -> None:
    path = real_data / "csv" / "ad8232_pico_ecg_30s.csv"
    found = ADAPTER.read(path, ReadOptions(leads=("volt",)))
    assert (found.fs, [lead.name for lead in found.leads], found.labels) == (250.0, ["volt"], None)
    assert found.leads[0].samples[0] == pytest.approx(1719.7)
    with pytest.raises(UnitUnknown, match=r"column 'raw'.*--lead NAME"):
        ADAPTER.read(path, DEFAULT)


def test_simple_text_format_has_rate_and_name_in_comments(real_data: Path) -> None:
    path = real_data / "csv" / "biosppy_ecg.txt"
    found = ADAPTER.read(path, ReadOptions(units="adc:200:2048"))
    assert (found.fs, found.length, found.leads[0].name) == (1000.0, 15_000, "ECG")
    assert found.leads[0].samples[0] == pytest.approx(-0.02)
    with pytest.raises(UnitUnknown, match=r"--units"):
        ADAPTER.read(path, DEFAULT)


def test_a_rounded_time_column_gives_the_exact_rate(real_data: Path) -> None:
    found = ADAPTER.read(real_data / "csv" / "vital_sqi_ecg_test1.csv", ReadOptions(units="uV"))
    assert (found.fs, found.length, [lead.name for lead in found.leads]) == (
        256.0,
        2560,
        ["1", "2"],
    )
    assert found.leads[0].samples[0] == pytest.approx(-0.059247944)


@pytest.mark.parametrize(
    ("header", "name", "factor"),
    [("time,MLII (mV)", "MLII", 1), ("Time [s],MLII_mV", "MLII", 1), ("t,ecg [uV]", "ecg", 1e-3),
     ("seconds,ecg (µV)", "ecg", 1e-3),
     ("time_s,V5 (V)", "V5", 1e3), ("time,ecg/mV", "ecg", 1), ("time,millivolts", "millivolts", 1)],
)  # fmt: skip
def test_the_unit_of_a_lead_is_taken_from_its_header(
    tmp_path: Path, header: str, name: str, factor: float
) -> None:
    found = ADAPTER.read(_file(tmp_path, _rows(header)), DEFAULT)
    assert (found.fs, found.leads[0].name) == (250.0, name)
    np.testing.assert_allclose(found.leads[0].samples[:7], np.arange(7) / 10 * factor, rtol=1e-6)


@pytest.mark.parametrize(
    ("column", "scale"),
    [("time_ms", 1e3), ("t_us_x", 1e6), ("Time (ms)", 1e3), ("ms", 1e3), ("time_ns", 1e9)],
)
def test_the_unit_of_time_is_taken_from_the_header(
    tmp_path: Path, column: str, scale: float
) -> None:
    rows = "".join(f"{row / 500 * scale:.6f},{row % 5}\n" for row in range(100))
    assert ADAPTER.read(_file(tmp_path, f"{column},ecg_mV\n{rows}"), DEFAULT).fs == 500.0


def test_whole_milliseconds_give_the_true_rate(tmp_path: Path) -> None:
    rows = "".join(f"{round(row / 0.36)},{row % 5}\n" for row in range(36_000))
    assert ADAPTER.read(_file(tmp_path, f"time_ms,ecg_mV\n{rows}"), DEFAULT).fs == 360.0


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_separators_line_ends_and_marks_do_not_matter(
    tmp_path: Path, separator: str, ending: str, mark: str
) -> None:
    text = mark + _rows(f"time_s{separator}ecg_mV", separator).replace("\n", ending)
    assert ADAPTER.read(_file(tmp_path, text), DEFAULT).length == 50


def test_decimal_commas_are_understood_beside_semicolons(tmp_path: Path) -> None:
    text = _rows("Zeit;EKG (mV)", ";").replace(".", ",")
    found = ADAPTER.read(_file(tmp_path, text), DEFAULT)
    assert (found.fs, found.leads[0].samples[3]) == (250.0, pytest.approx(0.3))


def test_a_jump_in_the_time_column_is_a_gap(tmp_path: Path) -> None:
    rows = "".join(
        f"{(row + (100 if row >= 50 else 0)) / 250:.4f},{row % 7}\n" for row in range(120)
    )
    found = ADAPTER.read(_file(tmp_path, f"time,ecg_mV\n{rows}"), DEFAULT)
    assert (found.fs, found.length, found.gaps()) == (250.0, 220, ((50, 150),))
    assert found.leads[0].samples[150] == 50 % 7


def test_a_jump_in_the_sample_column_is_a_gap(tmp_path: Path) -> None:
    rows = "".join(f"{row if row < 5 else row + 3},{row}\n" for row in range(10))
    assert ADAPTER.read(_file(tmp_path, f"sample,ecg_mV\n{rows}"), ReadOptions(fs=250)).gaps() == (
        (5, 8),
    )


def test_an_empty_cell_is_a_missing_sample(tmp_path: Path) -> None:
    found = ADAPTER.read(
        _file(tmp_path, "time,I_mV,II_mV\n0,1,2\n0.01,,3\n0.02,nan,\n0.03,1,1\n"), DEFAULT
    )
    np.testing.assert_array_equal(found.leads[0].samples, [1, np.nan, np.nan, 1])
    np.testing.assert_array_equal(found.leads[1].samples, [2, 3, np.nan, 1])


def test_columns_of_other_signals_are_left_out(tmp_path: Path) -> None:
    found = ADAPTER.read(
        _file(tmp_path, "time,ecg_mV,resp,HR\n0,1,2,3\n0.01,4,5,6\n0.02,7,8,9\n"), DEFAULT
    )
    assert [lead.name for lead in found.leads] == ["ecg"]


def test_what_is_written_is_read_back(tmp_path: Path, recording: Recording) -> None:
    samples = recording.leads[0].samples.copy()
    samples[100:200] = np.nan
    written = replace(
        recording,
        fs=257.123,
        leads=(replace(recording.leads[0], samples=samples), recording.leads[1]),
    )
    paths = ADAPTER.write(written, tmp_path)
    assert [path.name for path in paths] == ["small.csv", "small.labels.csv"]
    assert paths[0].read_text().splitlines()[2] == "time_s,MLII (mV),V5 (mV)"
    found = ADAPTER.read(paths[0], DEFAULT)
    assert (found.fs, found.labels) == (257.123, recording.labels)
    for read, expected in zip(found.leads, written.leads, strict=True):
        assert (read.name, read.step_mv) == (expected.name, expected.step_mv)
        np.testing.assert_allclose(read.samples, expected.samples, atol=1e-6)


def test_every_wfdb_symbol_survives_a_label_table(tmp_path: Path, recording: Recording) -> None:
    labels = tuple(
        BeatLabel(number, symbol)
        for number, symbol in enumerate("NLRBAaJSVrFejnE/fQ?[!]x()ptu`'^|~+sT*D=\"@")
    )
    assert (
        ADAPTER.read(ADAPTER.write(replace(recording, labels=labels), tmp_path)[0], DEFAULT).labels
        == labels
    )
    assert (
        ADAPTER.read(ADAPTER.write(replace(recording, labels=()), tmp_path)[0], DEFAULT).labels
        == ()
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no line of numbers"),
        ("# only a comment\n", "has no line of numbers"),
        (
            "Dear colleague,\nplease find\nthe ECG attached.\n",
            "line 2 is 'please find', not a row of numbers",
        ),
        ("time,ecg_mV\n0,1\n0.1,2\n0.2,3,4\n", r"line 4 '0\.2,3,4' has 3 values"),
        ("time,ecg_mV\n0,1\n0.1\n", "line 3 '0.1' has 1 values"),
        ("time,ecg_mV\n0,1\n0.1,2\n\n0.2,oops\n", "line 5 column 2 is 'oops', not a number"),
        ("time,ecg_mV\n0,1\n0.1,inf\n", "line 3 holds an infinite value"),
        (
            "time,ecg_mV\n0,1\n0.2,1\n0.1,1\n",
            r"time column does not go up: row 3 of the data has 0\.1 after 0\.2",
        ),
        ("time,ecg_mV\n0,1\n", "fewer than 2 rows"),
        ("time\n0\n1\n2\n", "hold no signal"),
        ("0.0,5\n0.1,6\n0.2,5\n", "first column always goes up"),
        ("GIF89a\0\0", "not a text file"),
    ],
)
def test_a_broken_table_is_refused_with_line_and_value(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(FileUnreadable, match=rf"x\.csv: .*{said}"):
        ADAPTER.read(_file(tmp_path, text), ReadOptions(fs=10, units="mV"))


@pytest.mark.parametrize(
    "times", [[row**1.5 for row in range(200)], [row * 1.25 // 1 / 1000 for row in range(2000)]]
)
def test_an_irregular_time_column_is_refused(tmp_path: Path, times: list[float]) -> None:
    rows = "".join(f"{time:.6f},1\n" for time in times)
    with pytest.raises(RateUnknown, match=r"times are not regular.*--fs HZ"):
        ADAPTER.read(_file(tmp_path, f"time,ecg_mV\n{rows}"), DEFAULT)


def test_rate_option_resolves_coarse_time_column(tmp_path: Path) -> None:
    rows = "".join(f"{row * 1.25 // 1 / 1000:.3f},1\n" for row in range(2000))
    assert ADAPTER.read(_file(tmp_path, f"time,ecg_mV\n{rows}"), ReadOptions(fs=800)).length == 2000


def test_a_comment_with_a_broken_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RateUnknown, match=r"comment 'fs_hz' states the rate 'unknown'"):
        ADAPTER.read(_file(tmp_path, "# fs_hz: unknown\necg_mV\n1\n2\n"), DEFAULT)


def test_missing_lead_error_lists_channels(tmp_path: Path) -> None:
    path = _file(tmp_path, _rows("time,MLII (mV)"))
    assert ADAPTER.read(path, ReadOptions(leads=("MLII (mV)",))).leads[0].name == "MLII"
    with pytest.raises(LeadMissing, match=r"lead 'V1'.*channels: 'MLII'.*--lead NAME"):
        ADAPTER.read(path, ReadOptions(leads=("V1",)))


def test_labels_that_were_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(LabelsUnreadable, match=r"'beats\.csv' were asked for.*--labels FILE"):
        ADAPTER.read(_file(tmp_path, _rows("time,ecg_mV")), ReadOptions(labels="beats.csv"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no lines"),
        ("a,b\n1,2\n", "names no columns 'sample' and 'symbol'"),
        ("sample,symbol\n1.5,N\n", "line 2 has the sample number '1.5'"),
        ("sample,symbol\n1,N\n7,xyz\n", "line 3 has the unknown symbol 'xyz'"),
        ("sample,symbol\n1\n", "line 2 '1' lacks a sample or a symbol"),
    ],
)
def test_refuses_broken_label_table_with_line_and_value(
    tmp_path: Path, text: str, said: str
) -> None:
    _file(tmp_path, text, "x.labels.csv")
    with pytest.raises(LabelsUnreadable, match=rf"x\.labels\.csv: .*{said}"):
        ADAPTER.read(_file(tmp_path, _rows("time,ecg_mV")), DEFAULT)


def test_words_for_beats_are_understood_in_a_label_table(tmp_path: Path) -> None:
    _file(tmp_path, "sample;label\n1;Normal\n2;PVC\n3;VES\n4;n\n", "x.labels.csv")
    labels = ADAPTER.read(_file(tmp_path, _rows("time,ecg_mV")), DEFAULT).labels
    assert labels == (BeatLabel(1, "N"), BeatLabel(2, "V"), BeatLabel(3, "V"), BeatLabel(4, "n"))


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"nix\.csv: cannot be opened"):
        ADAPTER.read(tmp_path / "nix.csv", DEFAULT)
    assert isinstance(ADAPTER, Adapter)


def test_text_file_is_recording_only_if_it_starts_with_numbers(
    tmp_path: Path, real_data: Path
) -> None:
    assert not ADAPTER.recognises(
        _file(tmp_path, "Dear colleague,\nplease find\nthe ECG.\n", "letter.txt")
    )
    assert ADAPTER.recognises(real_data / "csv" / "biosppy_ecg.txt")
    assert not ADAPTER.recognises(real_data / "csv" / "100annotations.txt")
