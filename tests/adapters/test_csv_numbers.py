"""The forms of numbers in tables are read, or refused if they are ambiguous."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.tables.adapter import CsvAdapter

COUNTS = [round(500 + 700 * np.sin(row / 9) + row % 7) for row in range(600)]
MICROVOLTS = np.array(COUNTS) / 1000
DECIMALS = [f"{count / 1000:.3f}" for count in COUNTS]
TIMES = [f"{row / 250:.3f}" for row in range(600)]
IN_MV = ReadOptions(fs=250, units="mV")


def _grouped(count: int, mark: str) -> str:
    return f"{count:,}".replace(",", mark)


def _comma(cells: Sequence[str]) -> list[str]:
    return [cell.replace(".", ",") for cell in cells]


def _quoted(cells: Sequence[str]) -> list[str]:
    return [f'"{cell}"' for cell in cells]


def read(
    folder: Path, text: str, options: ReadOptions | None = None, encoding: str = "utf-8"
) -> Recording:
    path = folder / "x.csv"
    path.write_bytes(text.encode(encoding))
    return CsvAdapter().read(path, options or ReadOptions())


def table(
    title: str, cells: Sequence[str], separator: str = ";", times: Sequence[str] = TIMES
) -> str:
    return f"time_s{separator}{title}\n" + "".join(
        f"{at}{separator}{cell}\n" for at, cell in zip(times, cells, strict=True)
    )


def check(found: Recording, expected: object = MICROVOLTS) -> None:
    np.testing.assert_allclose(np.asarray(found.leads[0].samples), np.asarray(expected), atol=1e-6)


@pytest.mark.parametrize("mark", [" ", "\u00a0", "\u2009", "\u202f", "'", "\u2019", "_"])
@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_reads_unambiguous_thousands_separators(tmp_path: Path, mark: str, separator: str) -> None:
    check(read(tmp_path, table("ECG (uV)", [_grouped(count, mark) for count in COUNTS], separator)))


@pytest.mark.parametrize("mark", ["\u00a0", "\u2019"])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_reads_thousands_separators_in_other_encodings(
    tmp_path: Path, mark: str, encoding: str
) -> None:
    check(
        read(
            tmp_path,
            table("ECG (uV)", [_grouped(count, mark) for count in COUNTS]),
            encoding=encoding,
        )
    )


def test_blanks_between_thousands_are_no_columns(tmp_path: Path) -> None:
    check(
        read(
            tmp_path,
            "ECG (uV)\n" + "".join(f"{_grouped(count, ' ')}\n" for count in COUNTS),
            ReadOptions(fs=250),
        )
    )
    rows = "".join(f"{_grouped(count + 3000, ' ')}\n" for count in COUNTS)
    for titles in ("", "ECG (uV)\n"):
        with pytest.raises(
            FileUnreadable, match=r"line \d is '3 500': its blanks seem to separate thousands"
        ):
            read(tmp_path, titles + rows, ReadOptions(fs=250, units="uV"))


@pytest.mark.parametrize("mark", [",", "."])
@pytest.mark.parametrize("offset", [0, 1150, 2150])
def test_refuses_commas_and_points_as_thousands_separators(
    tmp_path: Path, mark: str, offset: int
) -> None:
    cells = [_grouped(count + (offset if count > -150 else 900), mark) for count in COUNTS]
    for separator in ";\t":
        with pytest.raises(FileUnreadable, match=r"thousands|not a number"):
            read(tmp_path, table("ECG (uV)", cells, separator))
    with pytest.raises(FileUnreadable, match=r"thousands|not a number|values|decimal marks"):
        read(tmp_path, table("ECG (uV)", _quoted(cells), ","))


def test_refuses_quoted_numbers_of_thousands_only(tmp_path: Path) -> None:
    cells = _quoted([_grouped(count + 3000, ",") for count in COUNTS])
    text = "sample,ECG (uV)\n" + "".join(f"{row},{cell}\n" for row, cell in enumerate(cells))
    with pytest.raises(FileUnreadable, match=r"thousands"):
        read(tmp_path, text, ReadOptions(fs=250))


def test_decimals_beside_whole_numbers_are_not_thousands(tmp_path: Path) -> None:
    values = (
        500 + np.round(8 * 100 * np.sin(np.arange(600) / 9)) / 8
    )  # an eighth of them whole, the others such as 512.125
    check(read(tmp_path, table("ECG (uV)", [f"{value:g}" for value in values])), values / 1000)


@pytest.mark.parametrize(
    "sign", ["\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2212", "\uff0d"]
)
def test_reads_minus_signs(tmp_path: Path, sign: str) -> None:
    for encoding in ("utf-8", "utf-16"):
        check(
            read(
                tmp_path,
                table("ECG (mV)", [cell.replace("-", sign) for cell in DECIMALS]),
                encoding=encoding,
            )
        )


def test_reads_signs_and_exponents(tmp_path: Path) -> None:
    check(read(tmp_path, table("ECG (mV)", [f"{count / 1000:+.3f}" for count in COUNTS])))
    check(read(tmp_path, table("ECG (mV)", [f"{count / 100:.2f}e-1" for count in COUNTS])))
    check(
        read(
            tmp_path,
            table(
                "ECG (mV)",
                _comma([f"{count / 100:.2f}E-1" for count in COUNTS]),
                times=_comma(TIMES),
            ),
        )
    )
    check(read(tmp_path, table("ECG (mV)", [cell.replace("0.", ".", 1) for cell in DECIMALS])))


@pytest.mark.parametrize(
    "sign", ["(0.100)", "0.100-", "1,024.0", "1'02", "1'0240", "0x10", "\u0661\u0662"]
)
def test_refuses_cell_that_is_not_a_number_with_line(tmp_path: Path, sign: str) -> None:
    cells = [*DECIMALS[:300], sign, *DECIMALS[301:]]
    with pytest.raises(FileUnreadable, match=r"line 302 column 2 is .*, not a number"):
        read(tmp_path, table("ECG (mV)", cells))


@pytest.mark.parametrize(
    "word",
    ["NaN", "nan", "-nan(ind)", "1.#QNAN", "null", "NULL", "N/A", "n.a.", "<NA>", "None", "\\N",
     "missing", "-", "--", "\u2014",
     "*", "***", ".", "?", "#N/A", "#DIV/0!", ""],
)  # fmt: skip
def test_reads_words_for_missing_samples_as_gaps(tmp_path: Path, word: str) -> None:
    cells = [word if 100 <= row < 140 else cell for row, cell in enumerate(DECIMALS)]
    expected = np.where((np.arange(600) >= 100) & (np.arange(600) < 140), np.nan, MICROVOLTS)
    check(read(tmp_path, table("ECG (mV)", cells)), expected)
    first = "ECG (mV);Marker\n" + "".join(f"{cell};0\n" for cell in cells)
    check(read(tmp_path, first, ReadOptions(fs=250)), expected)
    if word:
        check(
            read(
                tmp_path, "ECG (mV)\n" + "".join(f"{cell}\n" for cell in cells), ReadOptions(fs=250)
            ),
            expected,
        )


def test_comment_is_not_a_missing_sample(tmp_path: Path) -> None:
    rows = [*DECIMALS[:300], "# N/A", "#NOTE", *DECIMALS[300:]]
    check(read(tmp_path, "ECG (mV)\n" + "".join(f"{row}\n" for row in rows), ReadOptions(fs=250)))


def test_the_largest_code_leaves_the_step(tmp_path: Path) -> None:
    cells = ["-2147483648" if 100 <= row < 140 else cell for row, cell in enumerate(DECIMALS)]
    found = read(tmp_path, table("ECG (mV)", cells))
    assert [tuple(gap) for gap in found.gaps()] == [(100, 140)]
    assert found.leads[0].step_mv == pytest.approx(0.001)


def test_reads_quoted_decimal_commas_between_commas(tmp_path: Path) -> None:
    cells = _quoted(_comma(DECIMALS))
    times = _quoted(_comma(TIMES))
    check(read(tmp_path, table("ECG (mV)", cells, ",", times)))
    zeros = [cell if row % 10 else "0" for row, cell in enumerate(cells)]
    check(
        read(tmp_path, table("ECG (mV)", zeros, ",", times)),
        np.where(np.arange(600) % 10, MICROVOLTS, 0),
    )


@pytest.mark.parametrize("titles", ["time_s,ECG (mV)", "I (mV),II (mV)", "sample,ECG (mV)"])
def test_refuses_decimal_commas_between_commas(tmp_path: Path, titles: str) -> None:
    rows = "".join(
        f"{first},{second}\n" for first, second in zip(_comma(TIMES), _comma(DECIMALS), strict=True)
    )
    with pytest.raises(
        FileUnreadable, match=r"line 1 names 2 columns, but line 2 has 4 values.*semicolons"
    ):
        read(tmp_path, f"{titles}\n{rows}", IN_MV)


@pytest.mark.parametrize("columns", [2, 3])
def test_refuses_decimal_commas_between_commas_without_titles(tmp_path: Path, columns: int) -> None:
    rows = "".join(",".join([cell] * columns) + "\n" for cell in _comma(DECIMALS))
    with pytest.raises(
        FileUnreadable,
        match=r"line 1 is '0,500,0,500.*': its commas seem to be decimal marks.*semicolons",
    ):
        read(tmp_path, rows, IN_MV)


def test_refuses_two_decimal_marks_in_a_row(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match=r"line 2 contains both '0\.000' and '3,500'"):
        read(tmp_path, table("ECG (uV)", [_grouped(count + 3000, ",") for count in COUNTS]))


@pytest.mark.parametrize("titles", ["time_s,ECG (mV)", "ECG (mV),II (mV)"])
def test_refuses_rows_with_more_values_than_titles(tmp_path: Path, titles: str) -> None:
    rows = "".join(f"{at},{cell},0.1\n" for at, cell in zip(TIMES, DECIMALS, strict=True))
    with pytest.raises(
        FileUnreadable,
        match=r"line 1 names 2 columns, but line 2 has 3 values\. Correct the header line",
    ):
        read(tmp_path, f"{titles}\n{rows}", IN_MV)


def test_refuses_two_values_below_one_title(tmp_path: Path) -> None:
    rows = "".join(f"{cell},{cell}\n" for cell in DECIMALS)
    with pytest.raises(FileUnreadable, match=r"line 1 names one column, but line 2 has 2 values"):
        read(tmp_path, f"ECG\n{rows}", IN_MV)


def test_refuses_a_later_row_with_another_value(tmp_path: Path) -> None:
    rows = [f"{at},{cell}" for at, cell in zip(TIMES, DECIMALS, strict=True)]
    rows[400] += ",0.1"
    with pytest.raises(FileUnreadable, match=r"line 402 .* has 3 values, the lines before it 2"):
        read(tmp_path, "\n".join(["time_s,ECG (mV)", *rows]))


@pytest.mark.parametrize("ends", [("", ","), (",", ""), ("", ",,"), (",", ",")])
@pytest.mark.parametrize("first", [0, 400])
def test_reads_rows_that_end_with_separators(
    tmp_path: Path, ends: tuple[str, str], first: int
) -> None:
    rows = [
        f"{at},{cell}{ends[1] if row >= first else ''}"
        for row, (at, cell) in enumerate(zip(TIMES, DECIMALS, strict=True))
    ]
    check(read(tmp_path, "\n".join([f"time_s,ECG (mV){ends[0]}", *rows, ""])))
