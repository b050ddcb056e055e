"""Positions of labels of tables whose times do not begin at 0 or whose rows are incomplete."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.tables.adapter import CsvAdapter

FS = 250
ROWS = 7500
BEATS = (100 + np.cumsum(np.random.default_rng(5).integers(160, 240, 35))).tolist()
"""Samples of R peaks; no shift moves all of them onto others."""
ECG = np.zeros(ROWS)
for beat in BEATS:
    ECG += np.exp(-(((np.arange(ROWS) - beat) / 3) ** 2)) + 0.2 * np.exp(
        -(((np.arange(ROWS) - beat - 60) / 12) ** 2)
    )
WHOLE = range(ROWS)
Time = Callable[[int], object]


def read(
    folder: Path,
    title: str,
    time: Time,
    labels: str,
    rows: Iterable[int] = WHOLE,
    fs: float | None = None,
) -> Recording:
    path = folder / "x.csv"
    path.write_text(
        "\n".join([f"{title},ECG (mV)", *(f"{time(row)},{ECG[row]:.3f}" for row in rows)]) + "\n"
    )
    path.with_name("x.labels.csv").write_text(labels)
    return CsvAdapter().read(path, ReadOptions(fs=fs))


def table(title: str, time: Time, beats: Iterable[int] = BEATS) -> str:
    return "\n".join([f"{title},symbol", *(f"{time(beat)},N" for beat in beats)]) + "\n"


def samples(found: Recording) -> list[int]:
    return [label.sample for label in found.labels or ()]


def clock(row: int) -> str:
    now = datetime(2024, 10, 7, 23, 59, 50) + timedelta(milliseconds=4 * row)
    return f"{now:%H:%M:%S}.{now.microsecond // 1000:03d}"


def dated(row: int) -> str:
    return f"2024-10-0{7 if row < 2500 else 8} {clock(row)}"


@pytest.mark.parametrize("start", [3600.4, 0.9, 0.3])
@pytest.mark.parametrize("origin", ["table", "start"])
def test_labels_share_the_origin_of_the_table(tmp_path: Path, start: float, origin: str) -> None:
    """Label times that count from the start of the recording are read if the signal shows it."""
    offset = start if origin == "table" else 0.0
    found = read(
        tmp_path,
        "time_s",
        lambda row: f"{start + row / FS:.3f}",
        table("time_s", lambda row: f"{offset + row / FS:.3f}"),
    )
    assert samples(found) == BEATS
    assert found.remarks == ()


@pytest.mark.parametrize(
    ("title", "time", "label"),
    [
        ("timestamp_ms", lambda row: 1709547330000 + row * 4, "timestamp_ms"),
        ("timestamp", lambda row: 1709547330000 + row * 4, "timestamp"),
        ("Time (min)", lambda row: f"{10 + row / FS / 60:.8f}", "Time (min)"),
        ("Time", clock, "time"),
        ("Time", dated, "timestamp"),
    ],
)
def test_labels_count_in_the_units_of_the_table(
    tmp_path: Path, title: str, time: Time, label: str
) -> None:
    assert samples(read(tmp_path, title, time, table(label, time), fs=FS)) == BEATS


def test_labels_in_seconds_fit_a_table_with_times_of_day(tmp_path: Path) -> None:
    assert (
        samples(read(tmp_path, "Time", clock, table("time_s", lambda row: f"{row / FS:.3f}")))
        == BEATS
    )


def test_times_of_day_need_a_table_with_times_of_day(tmp_path: Path) -> None:
    with pytest.raises(
        LabelsUnreadable, match=r"labels have times of day, but the recording has none.*'time_s'"
    ):
        read(tmp_path, "time_s", lambda row: f"{row / FS:.3f}", table("time", clock))


def test_ambiguous_origin_gives_remark(tmp_path: Path) -> None:
    labels = table("time_s", lambda row: f"{0.3 + row / FS:.3f}", BEATS[:3])
    found = read(tmp_path, "time_s", lambda row: f"{0.3 + row / FS:.3f}", labels)
    assert samples(found) == BEATS[:3]
    assert [remark.code for remark in found.remarks] == ["labels-time-origin"]
    assert "begin at 0.3 s" in found.remarks[0].problem


@pytest.mark.parametrize("first", [0, 90_000])
def test_labels_share_the_numbers_of_a_sample_column(tmp_path: Path, first: int) -> None:
    found = read(
        tmp_path,
        "sample",
        lambda row: 90_000 + row,
        table("sample", lambda row: first + row),
        fs=FS,
    )
    assert (samples(found), found.remarks) == (BEATS, ())


@pytest.mark.parametrize("lost", [20, 1000])
@pytest.mark.parametrize("counts", ["rows", "samples"])
def test_sample_numbers_after_a_gap(tmp_path: Path, lost: int, counts: str) -> None:
    """Sample numbers include missing samples; if the signal shows that they do not, the labels are
    moved.
    """
    rows = [*range(2000), *range(2000 + lost, ROWS)]
    beats = [beat for beat in BEATS if beat in set(rows)]
    number = rows.index if counts == "rows" else int
    found = read(
        tmp_path, "time_s", lambda row: f"{row / FS:.3f}", table("sample", number, beats), rows
    )
    assert samples(found) == beats
    assert [remark.code for remark in found.remarks] == (
        ["labels-row-numbers"] if counts == "rows" else []
    )


def test_ambiguous_sample_numbers_give_remark(tmp_path: Path) -> None:
    rows = [*range(2000), *range(3000, ROWS)]
    beats = [beat for beat in BEATS if beat in set(rows)]
    found = read(
        tmp_path,
        "time_s",
        lambda row: f"{row / FS:.3f}",
        table("sample", int, [*beats[:3], 2500]),
        rows,
    )
    assert samples(found) == [*beats[:3], 2500]
    assert [remark.code for remark in found.remarks] == ["labels-row-numbers"]
    assert "nothing shows whether the sample numbers of 1 labels" in found.remarks[0].problem
