"""Codes for missing samples become gaps in every format; a clipped signal does not."""

from pathlib import Path

import edfio
import numpy as np
import pytest
import wfdb
from ecgfl_adapters.edf.adapter import EdfAdapter
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.tables.adapter import CsvAdapter
from ecgfl_adapters.wfdb.adapter import WfdbAdapter
from numpy.typing import NDArray

WAVE: NDArray[np.int64] = np.round(
    700 * np.sin(np.arange(1000) / 9) + 300 * np.sin(np.arange(1000) / 2)
).astype(np.int64)
GAP = slice(400, 600)


def _with(value: int, part: slice = GAP) -> NDArray[np.int64]:
    counts = WAVE.copy()
    counts[part] = value
    return counts


def read_edf(
    folder: Path, counts: NDArray[np.int64], digital_min: int = -32768, physical_min: float = -32768
) -> Recording:
    signal = edfio.EdfSignal.from_digital(
        counts.astype(np.int16),
        100,
        label="ECG",
        physical_dimension="uV",
        physical_range=(physical_min, 32767),
        digital_range=(digital_min, 32767),
    )
    edfio.Edf([signal]).write(folder / "x.edf")
    return EdfAdapter().read(folder / "x.edf", ReadOptions())


def read_wfdb(
    folder: Path, counts: NDArray[np.int64], fmt: str = "16", gain: float = 1000.0
) -> Recording:
    wfdb.wrsamp(
        "x",
        100,
        ["mV"],
        ["II"],
        d_signal=counts[:, None],
        fmt=[fmt],
        adc_gain=[gain],
        baseline=[0],
        write_dir=str(folder),
    )
    return WfdbAdapter().read(folder / "x.hea", ReadOptions())


def read_csv(folder: Path, counts: NDArray[np.int64]) -> Recording:
    (folder / "x.csv").write_text("ECG (uV)\n" + "".join(f"{count}\n" for count in counts))
    return CsvAdapter().read(folder / "x.csv", ReadOptions(fs=100))


def _check_gap(found: Recording) -> None:
    assert [tuple(gap) for gap in found.gaps()] == [(GAP.start, GAP.stop)]
    expected = np.where(np.isin(np.arange(1000), np.arange(1000)[GAP]), np.nan, WAVE / 1000)
    np.testing.assert_allclose(np.asarray(found.leads[0].samples), expected, atol=1e-3)
    np.testing.assert_allclose(
        found.leads[0].samples[np.arange(300, 500)], expected[300:500], atol=1e-3
    )


@pytest.mark.parametrize("value", [-32768, -9999, 9999])
def test_reads_gaps_in_edf(tmp_path: Path, value: int) -> None:
    found = read_edf(tmp_path, _with(value))
    _check_gap(found)
    (remark,) = found.remarks
    assert (remark.code, remark.problem) == (
        "missing-samples",
        f"channel 1 holds {value}, far from its other values: read as missing samples",
    )


def test_reads_the_digital_minimum_of_edf_as_missing(tmp_path: Path) -> None:
    _check_gap(read_edf(tmp_path, _with(-20000), digital_min=-20000, physical_min=-20000))


def test_reads_a_physical_code_in_edf(tmp_path: Path) -> None:
    counts = np.where(_with(-9999) == -9999, -4999, WAVE // 2)  # 2 uV a digital unit, from 0 on
    signal = edfio.EdfSignal.from_digital(
        counts.astype(np.int16),
        100,
        label="ECG",
        physical_dimension="uV",
        physical_range=(-60001, 59999),
        digital_range=(-30000, 30000),
    )
    edfio.Edf([signal]).write(tmp_path / "x.edf")
    found = EdfAdapter().read(tmp_path / "x.edf", ReadOptions())
    assert [tuple(gap) for gap in found.gaps()] == [(GAP.start, GAP.stop)]
    assert "holds -9999," in found.remarks[0].problem


@pytest.mark.parametrize(
    ("fmt", "value"),
    [("16", -9999), ("16", -32768), ("24", -32768), ("212", -2048), ("32", -99999)],
)
def test_reads_gaps_in_wfdb(tmp_path: Path, fmt: str, value: int) -> None:
    found = read_wfdb(tmp_path, _with(value), fmt)
    _check_gap(found)
    own = (fmt, value) in {("16", -32768), ("212", -2048)}
    assert [remark.code for remark in found.remarks] == ([] if own else ["missing-samples"])


def test_segments_report_a_code_once(tmp_path: Path) -> None:
    for name in ("x1", "x2"):
        counts = _with(-9999)[:, None]
        wfdb.wrsamp(
            name,
            100,
            ["mV"],
            ["II"],
            d_signal=counts,
            fmt=["16"],
            adc_gain=[1000.0],
            baseline=[0],
            write_dir=str(tmp_path),
        )
    (tmp_path / "x.hea").write_text("x/2 1 100 2000\nx1 1000\nx2 1000\n")
    found = WfdbAdapter().read(tmp_path / "x.hea", ReadOptions())
    assert [tuple(gap) for gap in found.gaps()] == [(400, 600), (1400, 1600)]
    assert [remark.code for remark in found.remarks] == ["missing-samples"]


@pytest.mark.parametrize("value", [-32768, 32767, 65535, -9999, 99999, -1000000])
def test_reads_gaps_in_tables(tmp_path: Path, value: int) -> None:
    _check_gap(read_csv(tmp_path, _with(value)))


def test_reads_two_codes_in_one_lead(tmp_path: Path) -> None:
    counts = _with(-9999)
    counts[800:900] = 9999
    found = read_csv(tmp_path, counts)
    assert [tuple(gap) for gap in found.gaps()] == [(400, 600), (800, 900)]
    assert len(found.remarks) == 2


def test_a_clipped_signal_is_no_gap(tmp_path: Path) -> None:
    steep = np.clip(60 * WAVE, -32768, 32767)
    assert (steep == -32768).sum() > 100
    for read in (read_edf, read_csv):
        found = read(tmp_path, steep)
        assert (found.gaps(), found.remarks) == ((), ())
    shallow = np.clip(WAVE, -500, 32767)
    assert read_edf(tmp_path, shallow, digital_min=-500, physical_min=-500).gaps() == ()
    assert read_wfdb(tmp_path, np.clip(11 * WAVE, -9999, 9999)).gaps() == ()


def test_pacing_spike_at_digital_minimum_is_not_a_gap(tmp_path: Path) -> None:
    found = read_edf(tmp_path, _with(-32768, slice(50, None, 100)))
    assert (found.gaps(), found.remarks) == ((), ())


def test_a_lead_of_nothing_but_a_code_is_missing(tmp_path: Path) -> None:
    assert np.isnan(
        np.asarray(read_csv(tmp_path, _with(-9999, slice(None))).leads[0].samples)
    ).all()
