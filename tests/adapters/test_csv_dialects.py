"""Tables in every dialect hold the same signal, and files that are not tables are refused."""

import gzip
import tempfile
from contextlib import suppress
from pathlib import Path
from time import process_time
from typing import NoReturn

import numpy as np
import pytest
from ecgfl_adapters import find_recordings
from ecgfl_adapters.errors import AdapterError, FileUnreadable, RateUnknown
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.tables import rows as row_reader
from ecgfl_adapters.tables import text_file
from ecgfl_adapters.tables.adapter import CsvAdapter
from hypothesis import given, settings
from hypothesis import strategies as st

ADAPTER = CsvAdapter()
DIALECTS = [
    (separator, decimal) for separator in ",;\t| " for decimal in ".," if separator != decimal
]
FACTORS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]


def read_bytes(raw: bytes, options: ReadOptions | None = None, name: str = "x.csv") -> Recording:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(raw)
        return ADAPTER.read(path, options or ReadOptions())


# Some of a lead's cells are empty, at random or one after the other.
LEADS = st.builds(
    lambda counts, missing: [
        None if place in missing else count for place, count in enumerate(counts)
    ],
    st.lists(st.integers(-30_000, 30_000), min_size=40, max_size=40),
    st.sets(st.integers(1, 38))
    | st.builds(
        lambda start, length: set(range(start, min(start + length, 39))),
        st.integers(1, 38),
        st.integers(1, 38),
    ),
)


@settings(max_examples=300, deadline=None)
@given(
    dialect=st.sampled_from(DIALECTS),
    header=st.sampled_from(["names", "quoted", "units", "preamble", "comment"]),
    encoding=st.sampled_from(ENCODINGS),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    unit=st.sampled_from([*FACTORS, "samples"]),
    packed=st.booleans(),
    trailing=st.booleans(),
    fs=st.sampled_from([125, 250, 256, 360, 500, 1000]),
    leads=st.lists(LEADS, min_size=1, max_size=3),
)  # fmt: skip
def test_the_signal_is_the_same_in_every_dialect(
    dialect: tuple[str, str],
    header: str,
    encoding: str,
    newline: str,
    unit: str,
    packed: bool,
    trailing: bool,
    fs: int,
    leads: list[list[int | None]],
) -> None:
    separator, decimal = dialect
    missing = "nan" if separator == " " else ""
    columns = [
        [missing if count is None else f"{count / 1000:.3f}" for count in lead] for lead in leads
    ]
    times = [
        str(row) if unit == "samples" else f"{row / fs * FACTORS[unit]:.6f}" for row in range(40)
    ]
    ends = separator if trailing and separator != " " else ""
    time = "sample" if unit == "samples" else f"time_{unit}"
    names = [time, *(f"V{number + 1}_mV" for number in range(len(leads)))]
    lines = {
        "names": [separator.join(names) + ends],
        "quoted": [separator.join(f'"{name}"' for name in names) + ends],
        "units": [
            separator.join(name.removesuffix("_mV") for name in names) + ends,
            separator.join([unit if unit != "samples" else "", *["mV"] * len(leads)]) + ends,
        ],
        "preamble": ["Geraet: Rekorder 7", "", separator.join(names) + ends],
        "comment": ["# written by a logger", "# " + separator.join(names) + ends],
    }[header]
    if header == "units" and unit == "samples":
        lines = [separator.join(names) + ends]
    lines += [
        separator.join(cells).replace(".", decimal) + ends
        for cells in zip(times, *columns, strict=True)
    ]
    raw = newline.join([*lines, ""]).encode(encoding)
    found = read_bytes(
        gzip.compress(raw) if packed else raw, ReadOptions(fs=fs) if unit == "samples" else None
    )
    assert found.fs == pytest.approx(fs, rel=1e-5)
    assert [lead.name for lead in found.leads] == [f"V{number + 1}" for number in range(len(leads))]
    for lead, counts in zip(found.leads, leads, strict=True):
        expected = [np.nan if count is None else count / 1000 for count in counts]
        np.testing.assert_allclose(lead.samples, expected, atol=1e-6)


def refused_or_read(raw: bytes, name: str) -> None:
    with suppress(AdapterError):
        read_bytes(raw, ReadOptions(fs=250, units="mV"), name)


@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=400), name=st.sampled_from(["x.csv", "x.txt", "x.csv.gz"]))
def test_arbitrary_bytes_raise_only_adapter_errors(raw: bytes, name: str) -> None:
    refused_or_read(raw, name)


@settings(max_examples=500, deadline=None)
@given(
    text=st.text(
        alphabet="0123456789.,;:\t \n\r\"'-+eE#%/[]{}nanifTZ_µ|\u0000\ufeff", max_size=300
    ),
    start=st.sampled_from(
        [
            "",
            "time_s,ecg_mV\n0,1\n",
            "Zeit;EKG (mV)\n",
            "# fs_hz: 250\n",
            "# OpenSignals Text File Format\n# {",
        ]
    ),
)
def test_text_like_a_table_raises_only_adapter_errors(text: str, start: str) -> None:
    refused_or_read((start + text).encode(), "x.csv")


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_file_raises_only_adapter_errors(data: st.DataObject) -> None:
    rows = "".join(
        f"10:11:{row / 250:06.3f};{row % 7 / 10:.1f}\n".replace(".", ",") for row in range(60)
    )
    raw = bytearray(f"# Sampling rate: 250\nZeit;EKG (mV)\n{rows}".encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    refused_or_read(bytes(raw), "x.csv")
    packed = bytearray(gzip.compress(bytes(raw)))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    refused_or_read(bytes(packed), "x.csv.gz")


def test_a_comma_that_may_be_either_is_refused() -> None:
    rows = "".join(f"{row % 9},{row % 7}23\n" for row in range(50))
    with pytest.raises(
        FileUnreadable,
        match=r"line 1 is '0,023', which may be 2 values .* decimal comma\. .*\[\[csv\]\]",
    ):
        read_bytes(rows.encode(), ReadOptions(fs=250, units="mV"))
    assert len(read_bytes(f"I,II\n{rows}".encode(), ReadOptions(fs=250, units="mV")).leads) == 2
    (lead,) = read_bytes(f"ecg_mV\n{rows}".encode(), ReadOptions(fs=250)).leads
    assert lead.samples[1] == pytest.approx(1.123)


def test_separators_of_thousands_are_refused() -> None:
    rows = "".join(f"{row / 250:.3f};{row}.234,5\n".replace(".", ",", 1) for row in range(50))
    with pytest.raises(FileUnreadable, match=r"line \d+ .*not a row of numbers|not a number"):
        read_bytes(f"time_s;ecg_uV\n{rows}".encode())


def test_gzip_table_is_one_recording_with_labels(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(
        gzip.compress(
            b"time_s,ecg_mV\n"
            + b"".join(b"%.3f,0.%d\n" % (row / 250, row % 7) for row in range(50))
        )
    )
    (tmp_path / "x.labels.csv").write_text("time_ms,symbol\n40,N\n80.1,V\n")
    assert find_recordings([tmp_path]).recordings == [path]
    found = ADAPTER.read(path, ReadOptions())
    assert (found.name, found.labels) == ("x", ((10, "N"), (20, "V")))


def test_refuses_decompression_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is lowered, so that the test need not unpack 64 MiB."""
    assert text_file.FREE_BYTES <= 1 << 26
    monkeypatch.setattr(text_file, "FREE_BYTES", 1 << 22)
    with pytest.raises(FileUnreadable, match=r"bytes of gzip unpack to more than .*gunzip"):
        read_bytes(gzip.compress(b"# fs_hz: 250\necg_mV\n" + b"0\n" * 5_000_000), name="x.csv.gz")


def test_a_gzip_file_that_is_cut_off_is_refused() -> None:
    raw = gzip.compress(
        b"time_s,ecg_mV\n" + b"".join(b"%.3f,0.%d\n" % (row / 250, row % 7) for row in range(5000))
    )
    with pytest.raises(FileUnreadable, match=r"gzip data are broken or cut off"):
        read_bytes(raw[: len(raw) // 2], name="x.csv.gz")


def test_refuses_blank_line_in_single_column() -> None:
    with pytest.raises(FileUnreadable, match=r"line 4 is blank, which may be a missing sample"):
        read_bytes(b"ecg_mV\n1\n2\n\n3\n", ReadOptions(fs=250))
    assert read_bytes(b"ecg_mV\n1\n2\n3\n\n\n", ReadOptions(fs=250)).length == 3


def test_a_fault_far_down_is_named_by_its_line() -> None:
    rows = [f"{row / 250:.3f},{row % 7}" for row in range(200_000)]
    rows[150_000] = "600.000,0"
    rows[170_001] = "680.004,oops"
    with pytest.raises(FileUnreadable, match=r"line 170003 column 2 is 'oops', not a number"):
        read_bytes("\n".join(["time_s,ecg_mV", *rows]).encode())


def test_leaves_out_words_and_refuses_header_of_other_width() -> None:
    rows = "".join(f"{row / 250:.3f},{row % 7},ok\n" for row in range(50))
    assert [
        lead.name for lead in read_bytes(f"time_s,ecg_mV,electrode\n{rows}".encode()).leads
    ] == ["ecg"]
    with pytest.raises(FileUnreadable, match=r"line 1 names 4 columns, but line 2 has 3 values"):
        read_bytes(f"time_s,ecg_mV,resp,electrode\n{rows}".encode())


def test_a_counter_by_another_name_is_no_lead() -> None:
    rows = "".join(f"{row * 4},{row % 7}\n" for row in range(300))
    with pytest.raises(FileUnreadable, match=r"column 'x' always goes up, as time does.*time = 1"):
        read_bytes(f"x,ecg_mV\n{rows}".encode(), ReadOptions(fs=250, units="mV"))


def test_time_without_unit_is_seconds_only_at_plausible_rate() -> None:
    rows = "".join(f"{row * 4},{row % 7}\n" for row in range(300))
    with pytest.raises(RateUnknown, match=r"column 'time' states no unit.*0\.25 Hz.*'time_ms'"):
        read_bytes(f"time,ecg_mV\n{rows}".encode())
    assert read_bytes(f"time_ms,ecg_mV\n{rows}".encode()).fs == 250


@pytest.mark.parametrize("rate", ["1,000 Hz", "1.000 Hz", "0", "1e9"])
def test_a_rate_that_is_no_ecgs_is_refused(rate: str) -> None:
    with pytest.raises(RateUnknown, match=r"states the rate .*Correct it"):
        read_bytes(f"# sampling rate: {rate}\necg_mV\n1\n2\n".encode())


def test_a_recording_in_a_line_is_refused() -> None:
    lines = "\n".join(",".join(str(row % 9 / 10) for row in range(187)) for _ in range(50))
    with pytest.raises(FileUnreadable, match=r"line 1 has 187 values.*one sample per line"):
        read_bytes(lines.encode(), ReadOptions(fs=125, units="mV"))


@pytest.mark.parametrize(
    "line",
    [" " * 200_000, "a" * 200_000, "1," * 100_000, "((((" * 50_000, '"' * 200_001, "1:" * 100_000],
)
def test_long_line_takes_linear_time(line: str) -> None:
    start = process_time()
    with suppress(AdapterError):
        read_bytes(f"{line}\ntime_s,ecg_mV\n0,1\n0.01,2\n0.02,1\n".encode())
    assert process_time() - start < 10


def test_a_channel_named_as_an_ecg_takes_precedence() -> None:
    rows = "".join(f"{row / 250:.3f},{row % 7},{row % 5},{row % 9}\n" for row in range(50))
    found = read_bytes(f"time_s,ECG,HF,Kanal 3 (mV)\n{rows}".encode(), ReadOptions(units="mV"))
    assert [lead.name for lead in found.leads] == ["ECG"]


def test_quoted_numbers_take_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """pandas parses them; no block of rows is read line by line."""

    def refuse(*_: object) -> NoReturn:
        pytest.fail("rows were read line by line")

    monkeypatch.setattr(row_reader._Reader, "_slowly", refuse)
    rows = "".join(f'"{row / 250:.3f}";"{row % 7},5"\n' for row in range(20_000))
    text = '"time_s";"ecg_mV"\n' + rows.replace(".", ",")
    assert read_bytes(text.encode()).length == 20_000


def test_two_rates_in_one_header_are_refused() -> None:
    with pytest.raises(RateUnknown, match=r"line 1 states 250 Hz and line 2 500 Hz"):
        read_bytes(b"# sampling rate: 250\n# fs: 500\necg_mV\n1\n2\n")
