"""Times of day and dates in the time column of a table."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.tables.adapter import CsvAdapter

BEFORE_MIDNIGHT = datetime(2021, 4, 3, 23, 59, 59, 498_000)


@pytest.fixture
def read_times(tmp_path: Path) -> Callable[..., Recording]:
    """read_times(form, start, jumps): 500 rows at 250 Hz; jumps : seconds that the clock is moved
    by from a row on.
    """

    def read_times(
        form: str, start: datetime = BEFORE_MIDNIGHT, jumps: dict[int, float] | None = None
    ) -> Recording:
        now, lines = start, ["Zeit;EKG (mV)"]
        for row in range(500):
            now += timedelta(seconds=(jumps or {}).get(row, 0))
            shown = now.strftime(form).replace("MILLI", f"{now.microsecond // 1000:03d}")
            lines.append(f"{shown};0,{row % 7}")
            now += timedelta(milliseconds=4)
        path = tmp_path / "x.csv"
        path.write_text("\n".join(lines))
        return CsvAdapter().read(path, ReadOptions())

    return read_times


@pytest.mark.parametrize(
    "form",
    [
        "%H:%M:%S.MILLI",
        "%H:%M:%S,MILLI",
        "%I:%M:%S.MILLI %p",
        "%Y-%m-%d %H:%M:%S.MILLI",
        "%Y-%m-%dT%H:%M:%S.MILLIZ",
        "%d.%m.%Y %H:%M:%S,MILLI",
        "%d/%m/%Y %H:%M:%S.MILLI",
        "%m/%d/%Y %I:%M:%S.MILLI %p",
        "[%H:%M:%S.MILLI %d/%m/%Y]",
    ],
)
def test_clock_continues_over_midnight(read_times: Callable[..., Recording], form: str) -> None:
    found = read_times(form)
    assert (found.fs, found.length, found.gaps()) == (250.0, 500, ())


def test_joins_date_and_time_columns(tmp_path: Path) -> None:
    now, lines = BEFORE_MIDNIGHT, ["Datum;Zeit;EKG (mV)"]
    for row in range(500):
        lines.append(f"{now:%d.%m.%Y};{now:%H:%M:%S},{now.microsecond // 1000:03d};0,{row % 7}")
        now += timedelta(milliseconds=4)
    path = tmp_path / "x.csv"
    path.write_text("\n".join(lines))
    found = CsvAdapter().read(path, ReadOptions())
    assert (found.fs, found.length, [lead.name for lead in found.leads]) == (250.0, 500, ["EKG"])


def test_a_pause_is_a_gap_also_over_midnight(read_times: Callable[..., Recording]) -> None:
    found = read_times("%H:%M:%S.MILLI", jumps={100: 600})
    assert found.gaps() == ((100, 100 + 150_000),)


@pytest.mark.parametrize(("jump", "told"), [(3600, "forwards"), (-3600, "back")])
@pytest.mark.parametrize("form", ["%H:%M:%S.MILLI", "%d.%m.%Y %H:%M:%S.MILLI"])
def test_an_hour_to_the_sample_may_be_daylight_saving(
    read_times: Callable[..., Recording], form: str, jump: int, told: str
) -> None:
    with pytest.raises(
        FileUnreadable,
        match=rf"after row 200 .* goes {told} by exactly an hour.*daylight saving.*seconds since",
    ):
        read_times(form, datetime(2021, 3, 28, 2, 30), {200: jump})


def test_an_hour_in_utc_is_a_gap(read_times: Callable[..., Recording]) -> None:
    found = read_times("%Y-%m-%dT%H:%M:%S.MILLIZ", datetime(2021, 3, 28, 1, 30), {200: 3600})
    assert found.gaps() == ((200, 200 + 900_000),)


def test_offsets_from_utc_are_counted(tmp_path: Path) -> None:
    rows = [f"2021-03-28T01:59:59.{row:03d}+01:00;0" for row in range(0, 1000, 4)]
    rows += [f"2021-03-28T03:00:00.{row:03d}+02:00;1" for row in range(0, 1000, 4)]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["Zeit;EKG (mV)", *rows]))
    assert CsvAdapter().read(path, ReadOptions()).length == 500


def test_dates_that_may_be_read_in_two_ways_are_refused(
    read_times: Callable[..., Recording],
) -> None:
    """4 March and 6 March, or 3 April and 3 June: two days of pause, or two months."""
    with pytest.raises(FileUnreadable, match=r"more than one way.*YYYY-MM-DD"):
        read_times("%d/%m/%Y %H:%M:%S.MILLI", datetime(2021, 4, 3, 12), {250: 2 * 86400})
    assert (
        len(
            read_times("%d.%m.%Y %H:%M:%S.MILLI", datetime(2021, 4, 3, 12), {250: 2 * 86400}).gaps()
        )
        == 1
    )


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["00:01", "00:02", "00:03"], "minutes and seconds, or hours and minutes"),
        (
            ["10:11:12.000", "10:11:72.004", "10:11:12.008"],
            "line 3 has the time '10:11:72.004'",
        ),
        (["31.02.2021 10:00:00.000", "31.02.2021 10:00:00.004"], "the dates are not valid"),
        (["02.03.2021 10:00:00.000", "01.03.2021 10:00:00.004"], "the dates do not go up"),
        (["10:00:00.000", "10:00:00.004", "09:59:59.000"], "does not go up"),
    ],
)
def test_refuses_invalid_times(tmp_path: Path, cells: list[str], said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["time;ecg_mV", *(f"{cell};1" for cell in cells)]))
    with pytest.raises(FileUnreadable, match=said):
        CsvAdapter().read(path, ReadOptions())
