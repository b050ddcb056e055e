"""Units of time, coarse stamps, rates that disagree, and columns of different rates."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.errors import FileUnreadable, RateUnknown
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.tables.adapter import CsvAdapter

ROWS = 5000
FS = 250
START = datetime(2024, 10, 7, 23, 59, 50)
WHOLE = range(ROWS)
GAP = [*range(2000), *range(3000, ROWS)]
"""20 s at 250 Hz without the 4 s from 8 s on."""

Read = Callable[..., Recording]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """read(title, time_of, rows, above, fs): a table whose first column is `time_of(sample)`."""

    def read(
        title: str,
        time_of: Callable[[int], object],
        rows: Iterable[int] = GAP,
        above: str = "",
        fs: float | None = None,
        separator: str = ",",
    ) -> Recording:
        lines = [f"{time_of(row)}{separator}{row % 7 / 10:.1f}" for row in rows]
        path = tmp_path / "x.csv"
        path.write_text(
            "\n".join([f"{above}{title}{separator}ECG (mV)", *lines]) + "\n", encoding="utf-8"
        )
        return CsvAdapter().read(path, ReadOptions(fs=fs))

    return read


def shown(form: str) -> Callable[[int], str]:
    """The time of a sample, where MILLI stands for its milliseconds."""

    def time_of(row: int) -> str:
        now = START + timedelta(milliseconds=4 * row)
        return now.strftime(form).replace("MILLI", f"{now.microsecond // 1000:03d}")

    return time_of


@pytest.mark.parametrize(
    ("title", "seconds"),
    [
        *(
            ("Time (min)", 60),
            ("min", 60),
            ('"Time, min"', 60),
            ("Zeit [Minuten]", 60),
            ("elapsed_minutes", 60),
        ),
        *(
            ("Tiempo (minutos)", 60),
            ("时间(分钟)", 60),
            ("time_h", 3600),
            ("Hours", 3600),
            ("Stunden", 3600),
            ("t(hr)", 3600),
        ),
        *(
            ("Czas [s]", 1),
            ("Laufzeit [s]", 1),
            ("TimeStamp (ms)", 1e-3),
            ("milliSec", 1e-3),
            ("Время (мкс)", 1e-6),
        ),
    ],
)
def test_reads_units_of_time(read: Read, title: str, seconds: float) -> None:
    found = read(title, lambda row: f"{row / FS / seconds:.9f}")
    assert (found.fs, found.length, found.gaps()) == (FS, ROWS, ((2000, 3000),))
    assert [lead.name for lead in found.leads] == ["ECG"]


@pytest.mark.parametrize(
    ("title", "step", "fs"),
    [("time [s/256]", 1, 256), ("time (1/256 s)", 2, 128), ("Ticks time [ms/4]", 16, 250)],
)
def test_reads_ticks(read: Read, title: str, step: int, fs: float) -> None:
    assert read(title, lambda row: row * step).fs == fs


def test_reads_a_line_of_units_with_minutes(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(
        "min\tECG\n\tmV\n"
        + "".join(f"{row / FS / 60:.8f}\t{row % 7 / 10}\n" for row in range(ROWS))
    )
    found = CsvAdapter().read(path, ReadOptions())
    assert (found.fs, found.length, [lead.name for lead in found.leads]) == (FS, ROWS, ["ECG"])


@pytest.mark.parametrize(
    ("interval", "title", "unit", "separator"),
    [
        ("4 msec", "min", 60.0, "\t"),
        ("4 msec", "milliSec", 1e-3, ","),
        ("0.004 sec", "sec", 1.0, "\t"),
    ],
)
def test_reads_acqknowledge_text(
    tmp_path: Path, interval: str, title: str, unit: float, separator: str
) -> None:
    """The row of counts under the titles is not a sample; names and units are above it."""
    head = [f"rest.acq\n{interval}/sample\n2 channels\nEDA100C\nmicrosiemens\nECG100C\nmV"]
    head += [
        separator.join([title, "CH1", "CH2", ""]),
        separator.join(["", str(ROWS), str(ROWS), ""]),
    ]
    rows = [
        separator.join([f"{row / FS / unit:.8f}", "1.5", f"{row % 7 / 10}", ""])
        for row in range(ROWS)
    ]
    path = tmp_path / "x.txt"
    path.write_text("\n".join([*head, *rows]) + "\n")
    found = CsvAdapter().read(path, ReadOptions(leads=("ECG100C",)))
    assert (found.fs, found.length, found.gaps()) == (FS, ROWS, ())
    assert found.leads[0].samples[3] == pytest.approx(0.3)


def test_asks_to_confirm_an_unusual_rate(read: Read) -> None:
    with pytest.raises(
        RateUnknown,
        match=r"column 'Time' states no unit.* 15000 Hz; an ECG has 50 to 5000 Hz.*--fs 15000",
    ):
        read("Time", lambda row: f"{row / FS / 60:.9f}", WHOLE)
    with pytest.raises(RateUnknown, match=r"is read as s, and shows a rate of 10 Hz.*--fs 10 "):
        read("time_s", lambda row: row / 10, WHOLE)
    assert read("time_s", lambda row: row / 10, WHOLE, fs=10).fs == 10


@pytest.mark.parametrize("seconds", [60, 86400, 1e-3, 1e-6])
def test_takes_an_unstated_unit_from_the_rate(read: Read, seconds: float) -> None:
    found = read("Time", lambda row: f"{row / FS / seconds:.10f}", fs=FS)
    assert (found.fs, found.gaps()) == (FS, ((2000, 3000),))


@pytest.mark.parametrize("per_second", [1, 1e3, 1e6, 1e9])
def test_reads_unix_times_without_a_unit(read: Read, per_second: float) -> None:
    recording = read(
        "timestamp",
        lambda row: f"{(1_728_288_000 + row / FS) * per_second:.{3 if per_second == 1 else 0}f}",
    )
    assert (recording.fs, recording.length) == (FS, ROWS)
    assert [gap.stop - gap.start for gap in recording.gaps()] == [1000]


def test_refuses_rates_that_disagree(read: Read) -> None:
    with pytest.raises(
        RateUnknown, match=r"the rate is 500 Hz \(--fs\), but the time column shows 250 Hz"
    ):
        read("time_s", lambda row: f"{row / FS:.4f}", fs=500)
    with pytest.raises(
        RateUnknown, match=r"the rate is 256 Hz \(line 1\), but the time column shows 250 Hz"
    ):
        read("time_s", lambda row: f"{row / FS:.4f}", above="# fs: 256\n")
    with pytest.raises(RateUnknown, match=r"--fs says 500 Hz, but line 1 says 250 Hz"):
        read("time_s", lambda row: f"{row / FS:.4f}", above="# fs: 250\n", fs=500)
    assert read(
        "time_s", lambda row: f"{row / 249.9:.5f}", above="# fs: 250\n"
    ).fs == pytest.approx(249.9, rel=1e-6)


@pytest.mark.parametrize(
    "form",
    [
        *(
            "%H:%M:%S:MILLI",
            "%d.%m.%y %H:%M:%S.MILLI",
            "%m/%d/%y %H:%M:%S.MILLI",
            "%Y/%m/%d %H:%M:%S:MILLI",
        ),
        *(
            "%d-%b-%Y %H:%M:%S.MILLI",
            "%d%b%Y %H:%M:%S.MILLI",
            "%B %d, %Y %I:%M:%S.MILLI %p",
            "%a, %d %b %Y %H:%M:%S.MILLI",
        ),
        *(
            "%Y-%m-%d %H:%M:%S.MILLI UTC",
            "%Y-%m-%dT%H:%M:%S.MILLI+0200",
            "%Y-%m-%d %H:%M:%S.MILLI CEST",
        ),
        *(
            "%Y%m%d%H%M%SMILLI",
            "%Y%m%d_%H%M%S.MILLI",
            "%d/%b/%Y:%H:%M:%S.MILLI",
            "%Y年%m月%d日 %H:%M:%S.MILLI",
        ),
    ],
)
@pytest.mark.parametrize("fs", [None, FS])
def test_reads_forms_of_times(read: Read, form: str, fs: float | None) -> None:
    found = read("When", shown(form), fs=fs, separator=";")
    assert (found.fs, found.length, found.gaps()) == (FS, ROWS, ((2000, 3000),))


def test_reads_milliseconds_without_leading_zeros(read: Read) -> None:
    """10:00:00.4 is 4 ms where .12 follows .8."""

    def time_of(row: int) -> str:
        return f"10:00:{row * 4 // 1000:02d}.{row * 4 % 1000}"

    assert (read("Time", time_of).fs, read("Time", time_of).gaps()) == (FS, ((2000, 3000),))


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (
            "%Y-%m-%d %H-%M-%S.MILLI",
            r"line 2, column 1 is '2024-10-07 23-59-50\.000', neither a number nor a time",
        ),
        (
            "%Hh%Mm%S.MILLIs",
            r"column 'Zeitpunkte' holds times such as '23h59m50\.000s' in an unknown form",
        ),
    ],
)
def test_refuses_times_in_unknown_forms(read: Read, form: str, said: str) -> None:
    with pytest.raises(FileUnreadable, match=said):
        read("Zeitpunkte", shown(form), fs=FS)


def test_refuses_hhmmss_as_a_number(read: Read) -> None:
    def time_of(row: int) -> str:
        seconds = 50 + row / FS
        return f"{101500 + (100 + seconds - 60 if seconds >= 60 else seconds):.3f}"

    with pytest.raises(
        FileUnreadable,
        match=r"counts like hhmmss: row 2501 of the data has 101600 after 101559\.996",
    ):
        read("time", time_of, WHOLE)


def test_never_takes_a_time_for_a_lead(read: Read) -> None:
    with pytest.raises(FileUnreadable, match=r"column 'Lauf' always goes up, as time does"):
        read("Lauf", lambda row: f"{row / FS:.3f}", [*range(100), *range(2600, ROWS)], fs=FS)
    with pytest.raises(FileUnreadable, match=r"column 'Lauf' always goes up"):
        read("Lauf", lambda row: row // 10, WHOLE, fs=FS)


JITTER = np.random.default_rng(3).integers(0, 40, ROWS).tolist()
COARSE = {
    "a second": ("Time", shown("%H:%M:%S")),
    "a second, dated": ("Time", shown("%d-%b-%Y %H:%M:%S")),
    "an epoch second": ("timestamp", lambda row: 1709547330 + row // FS),
    "10 ms": ("time_s", lambda row: f"{row / FS:.2f}"),
    "a packet": ("timestamp_ms", lambda row: 1709547330000 + row // 25 * 100),
    "a packet on arrival": (
        "timestamp_ms",
        lambda row: 1709547330000 + row // 25 * 100 + JITTER[row // 25],
    ),
    "bursts": (
        "timestamp_ms",
        lambda row: f"{1709547330000 + row // 25 * 100 + JITTER[row // 25] + row % 25 * 0.4:.1f}",
    ),
}


@pytest.mark.parametrize("name", COARSE)
def test_reads_coarse_times_at_the_known_rate(read: Read, name: str) -> None:
    title, time_of = COARSE[name]
    found = read(title, time_of, WHOLE, fs=FS)
    assert (found.fs, found.length, found.gaps()) == (FS, ROWS, ())
    found = read(title, time_of, GAP, above="Sample rate: 250 Hz\n")
    ((start, stop),) = found.gaps()
    assert (found.fs, start) == (FS, 2000)
    assert abs(stop - 3000) <= 10
    (remark,) = found.remarks
    assert remark.code == "coarse-times"
    assert "250 Hz (line 1)" in remark.problem


@pytest.mark.parametrize("name", COARSE)
def test_refuses_coarse_times_without_a_rate_or_at_another(read: Read, name: str) -> None:
    title, time_of = COARSE[name]
    with pytest.raises(RateUnknown, match="--fs HZ") as error:
        read(title, time_of, WHOLE)
    assert "remove" not in str(error.value)
    with pytest.raises(
        RateUnknown,
        match=r"the rate is 500 Hz \(--fs\), but the time stamps show (?:250|249\.9|250\.0)",
    ):
        read(title, time_of, WHOLE, fs=500)


def test_leaves_out_rows_whose_place_is_not_known(read: Read) -> None:
    """160 ms are missing within one second; its rows may be before or after the gap."""
    found = read("Time", shown("%H:%M:%S"), [*range(2100), *range(2140, ROWS)], fs=FS)
    assert (found.length, found.gaps()) == (ROWS, ((2000, 2250),))
    assert "0.8 s of signal beside gaps are left out" in found.remarks[0].problem


def test_begins_within_a_second(read: Read) -> None:
    found = read("Time", shown("%H:%M:%S"), range(150, ROWS), fs=FS)
    assert (found.length, found.gaps()) == (ROWS - 150, ())


def test_refuses_clock_that_stands_still(read: Read) -> None:
    with pytest.raises(RateUnknown, match="have one time stamp"):
        read(
            "Time",
            lambda row: "10:00:00" if row > 1000 else f"09:59:{56 + row // FS}",
            WHOLE,
            fs=FS,
        )


def test_reads_a_sample_number_that_starts_again(read: Read) -> None:
    assert read("Sample Index", lambda row: row % 256, WHOLE, fs=FS).length == ROWS
    with pytest.raises(
        FileUnreadable, match=r"rows are missing near line 2002: the counter goes from 207 to 184"
    ):
        read("Sample Index", lambda row: row % 256, fs=FS)


def _every(step: int, above: str = "") -> str:
    """An ECG at 250 Hz in a table of `step` times that rate, blank between its samples."""
    rows = [
        f"{row / FS / step:.5f},{row % 90},{f'{row // step % 7 / 10}' if row % step == 0 else ''}"
        for row in range(ROWS * step)
    ]
    return f"{above}Time (s),Pressure (mmHg),ECG (mV)\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("step", "above", "fs"),
    [(4, "", None), (2, "", None), (4, "", 250), (4, "", 1000), (4, "# fs: 1000\n", None)],
)
def test_reads_an_ecg_at_its_own_rate(
    tmp_path: Path, step: int, above: str, fs: float | None
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(_every(step, above))
    found = CsvAdapter().read(path, ReadOptions(fs=fs))
    assert (found.fs, found.length, found.gaps()) == (FS, ROWS, ())
    np.testing.assert_allclose(found.leads[0].samples[:7], np.arange(7) / 10, rtol=1e-6)


def test_refuses_blank_cells_without_a_time(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join(line.partition(",")[2] for line in _every(4).splitlines()))
    with pytest.raises(RateUnknown, match=r"column 'ECG' is blank in 75% of the rows"):
        CsvAdapter().read(path, ReadOptions(fs=1000))


def test_refuses_leads_of_two_rates(tmp_path: Path) -> None:
    rows = [f"{row / 500:.3f},{row % 7},{row % 5 if row % 2 == 0 else ''}" for row in range(ROWS)]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["time_s,I (mV),II (mV)", *rows]))
    with pytest.raises(RateUnknown, match=r"column 'II' is blank in 50%.*--lead 'II'"):
        CsvAdapter().read(path, ReadOptions())
    found = CsvAdapter().read(path, ReadOptions(leads=("II",)))
    assert (found.fs, found.length) == (FS, ROWS // 2)
    assert CsvAdapter().read(path, ReadOptions(leads=("I",))).fs == 500


@pytest.mark.parametrize(("held", "of"), [(1, 2), (1, 4), (4, 5), (2, 3), (2, 5), (128, 250)])
def test_refuses_a_lead_of_another_rate_beside_an_off_lead(
    tmp_path: Path, held: int, of: int
) -> None:
    has_sample = [(row * held) % of < held and not 800 <= row < 1500 for row in range(ROWS)]
    rows = [
        f"{row / 500:.3f},{row % 7},{row % 5 if has_sample[row] else ''}" for row in range(ROWS)
    ]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["time_s,I (mV),II (mV)", *rows]))
    with pytest.raises(RateUnknown, match=r"column 'II' is blank in .*--lead 'II'"):
        CsvAdapter().read(path, ReadOptions())


@pytest.mark.parametrize("pattern", ["off for long", "loose", "at random"])
def test_a_lead_that_was_off_is_a_gap(tmp_path: Path, pattern: str) -> None:
    row = np.arange(ROWS)
    random = np.random.default_rng(2).random(ROWS)
    missing = {
        "off for long": (row >= 500) & (row < 2500),
        "loose": np.isin(row // 10, np.flatnonzero(random[: ROWS // 10] < 0.5)),
        "at random": random < 0.5,
    }[pattern]
    missing[0] = False
    path = tmp_path / "x.csv"
    rows = [f"{at / FS:.3f},{at % 7},{'' if missing[at] else at % 5}" for at in row.tolist()]
    path.write_text("\n".join(["time_s,I (mV),II (mV)", *rows]))
    first, second = CsvAdapter().read(path, ReadOptions()).leads
    assert not np.isnan(np.asarray(first.samples)).any()
    np.testing.assert_array_equal(np.isnan(np.asarray(second.samples)), missing)


def test_keeps_samples_that_are_missing_at_random(tmp_path: Path) -> None:
    missing = np.random.default_rng(1).random(ROWS) < 0.05
    rows = [f"{row / FS:.3f},{'' if missing[row] else row % 7}" for row in range(ROWS)]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["time_s,ecg_mV", *rows]))
    found = CsvAdapter().read(path, ReadOptions())
    assert (found.fs, found.length) == (FS, ROWS)
    np.testing.assert_array_equal(np.isnan(np.asarray(found.leads[0].samples)), missing)


def test_refuses_one_row_for_each_lead(tmp_path: Path) -> None:
    rows = [f"{row // 2 / FS:.3f},{'I' if row % 2 else 'II'},{row % 7}" for row in range(ROWS)]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["time_s,lead,value_mV", *rows]))
    with pytest.raises(
        FileUnreadable,
        match=r"column 'lead' names the lead of each row.*a column for each lead",
    ):
        CsvAdapter().read(path, ReadOptions(fs=500))
