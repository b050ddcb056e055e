"""Reads label files in text: tables of samples or times with symbols, and output of `rdann`."""

import csv
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO, TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.label_axis import (
    TableAxis,
    samples_at_clock,
    samples_at_numbers,
    samples_at_times,
)
from ecgfl_adapters.label_files import check_label_count, label_bytes
from ecgfl_adapters.protocol import LabelRequest
from ecgfl_adapters.recording import BeatLabel
from ecgfl_adapters.symbols import BEAT_SYMBOLS, OTHER_SYMBOLS, in_order, symbol_of
from ecgfl_adapters.tables.stamps import Stamps
from ecgfl_adapters.tables.time_units import seconds_in, time_title

LONGEST_LINE = 1 << 16
"""Largest number of characters of a line."""

_SAMPLE_NAMES = {
    "sample",
    "sample#",
    "sample #",
    "samples",
    "sample number",
    "sample_number",
    "sample_index",
    "index",
}
_SYMBOL_NAMES = {"type", "symbol", "label", "annotation", "beat"}
_MOST_DIGITS = 12
_CLOCK = re.compile(r"\[?(\d+:)+\d+(\.\d+)?\]?")
_CLOCK_THEN_BLANK = re.compile(rf"{_CLOCK.pattern}\s")


class _Columns(NamedTuple):
    """The columns of a table of labels.

    Parameters
    ----------
    sample, symbol : int
        Indices of the columns.
    seconds : float, optional
        Seconds in one unit of the first column, if it holds times as numbers.
    is_time : bool
        Whether the first column holds times.
    """

    sample: int
    symbol: int
    seconds: float | None = None
    is_time: bool = False


def read_table_labels(path: Path, request: LabelRequest) -> tuple[BeatLabel, ...]:
    """Read a table of labels.

    Parameters
    ----------
    path : Path
        Text with one label a line.
    request : LabelRequest
        The rate and the axis to which samples and times belong, and a site's own words.

    Returns
    -------
    tuple of BeatLabel
        All labels, in order of their samples.

    Raises
    ------
    LabelsUnreadable
        If a line cannot be understood; the message gives its number.
    """
    return in_order(
        _read_table(path, label_bytes(path), request.fs, request.vocabulary, request.axis)
    )


def check_class_column(path: Path) -> None:
    """Check that the class of each beat in a prediction's table agrees with its symbol.

    Only the symbol is read, so a person who corrected the class alone has corrected nothing.

    Raises
    ------
    LabelsUnreadable
        For the first line whose class is N or V and differs from the symbol.
    """
    lines = _lines(path, label_bytes(path))
    names = [name.lower() for name in _cells(next(lines, (1, ""))[1])]
    if "symbol" not in names or "class" not in names:
        return
    for number, line in lines:
        row = dict(zip(names, _cells(line), strict=False))
        if row.get("class") in {"N", "V"} and row["class"] != row.get("symbol"):
            raise LabelsUnreadable(
                path,
                f"line {number} has another class than its symbol, and no symbol was corrected",
                "Correct the column 'symbol': the column 'class' is not read",
            )


def _read_table(
    path: Path, raw: bytes, fs: float, vocabulary: Mapping[str, str], axis: TableAxis | None
) -> list[BeatLabel]:
    lines = _lines(path, raw)
    header = next(lines, None)
    if header is None:
        raise LabelsUnreadable(
            path,
            "label file holds no lines",
            "Give a label file with --labels FILE, or --labels none",
        )
    columns = _columns(_cells(header[1]), axis)
    if columns is None:
        if not _CLOCK.fullmatch(_cells(header[1])[0]):
            raise LabelsUnreadable(
                path,
                f"line {header[0]} {header[1].strip()[:60]!r} names no columns 'sample' and "
                "'symbol'",
                "Give a file with the header line 'sample,symbol', or 'time_s,symbol' with times "
                "as in the table",
            )
        columns, lines = _Columns(1, 2), chain((header,), lines)
    symbols: list[str] = []
    if columns.is_time:
        samples = _samples_of_times(path, lines, columns, fs, vocabulary, axis, symbols)
    else:
        numbers = array("q")
        for number, line in lines:
            cell, symbol = _row(path, number, line, columns, vocabulary)
            numbers.append(_sample(path, number, cell))
            symbols.append(symbol)
        samples = np.array(numbers, dtype=np.int64)
        samples = samples if axis is None else samples_at_numbers(samples, symbols, axis)
    return [
        BeatLabel(sample, symbol) for sample, symbol in zip(samples.tolist(), symbols, strict=True)
    ]


def _samples_of_times(
    path: Path,
    lines: Iterable[tuple[int, str]],
    columns: _Columns,
    fs: float,
    vocabulary: Mapping[str, str],
    axis: TableAxis | None,
    symbols: list[str],
) -> NDArray[np.int64]:
    """Return the samples of labels that are given by times, and append the symbols to `symbols`."""
    numbers, cells = array("q"), list[str]()
    for number, line in lines:
        cell, symbol = _row(path, number, line, columns, vocabulary)
        numbers.append(number)
        cells.append(cell)
        symbols.append(symbol)
    if any(":" in cell for cell in cells):
        if axis is None:
            raise LabelsUnreadable(
                path,
                f"line {numbers[0]} has the time {cells[0]!r}",
                "Give times from 0 on, in the unit that the header names",
            )
        stamps = Stamps(path)
        stamps.add(cells, numbers[0])
        return samples_at_clock(path, stamps.seconds(), symbols, axis)
    factor = columns.seconds
    if factor is None:
        raise LabelsUnreadable(
            path,
            f"line {numbers[0] - 1 if numbers else 1} names no unit of time",
            "Name it in the header: 'time_s,symbol'",
        )
    seconds = np.array(
        [_time(path, number, cell) * factor for number, cell in zip(numbers, cells, strict=True)]
    )
    return (
        np.rint(seconds * fs).astype(np.int64)
        if axis is None
        else samples_at_times(seconds, symbols, axis)
    )


def _lines(path: Path, raw: bytes) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers, without blank lines and comments."""
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = TextIOWrapper(BytesIO(raw), encoding, errors="replace", newline="")
    number = count = 0
    while piece := text.readline(LONGEST_LINE + 1):
        if len(piece) > LONGEST_LINE:
            raise LabelsUnreadable(
                path,
                f"line {number + 1} has more than {LONGEST_LINE} characters",
                "Give one label per line, or --labels none",
            )
        for line in piece.splitlines():
            number += 1
            if line.strip() and line[0] != "#":
                check_label_count(path, count)  # the first line may be a header
                count += 1
                yield number, line


def _cells(line: str) -> list[str]:
    for separator in (";", ","):
        if separator in line and not (":" in line and _CLOCK_THEN_BLANK.match(line.strip())):
            cells = (
                next(csv.reader([line], delimiter=separator))
                if '"' in line
                else line.split(separator)
            )
            return [cell.strip() for cell in cells]
    return line.split()


def _columns(header: list[str], axis: TableAxis | None) -> _Columns | None:
    names = [cell.strip("'\" ") for cell in header]
    sample = next(
        (index for index, name in enumerate(names) if name.lower() in _SAMPLE_NAMES), None
    )
    symbol = next(
        (index for index, name in enumerate(names) if name.lower() in _SYMBOL_NAMES), None
    )
    if symbol is None:
        return None
    if sample is not None:
        return _Columns(sample, symbol)
    title = axis.title.lower() if axis is not None else ""
    times = [
        index
        for index, name in enumerate(names)
        if index != symbol and (time_title(name) or (title and name.lower() == title))
    ]
    if not times:
        return None
    time = next((index for index in times if seconds_in(names[index])), times[0])
    same = axis.factor if axis is not None and names[time].lower() == title else None
    return _Columns(time, symbol, seconds_in(names[time]) or same, is_time=True)


def _row(
    path: Path, number: int, line: str, columns: _Columns, vocabulary: Mapping[str, str]
) -> tuple[str, str]:
    """Return the sample number or time as text, and the symbol."""
    cells = _cells(line)
    if len(cells) <= max(columns.sample, columns.symbol):
        raise LabelsUnreadable(
            path,
            f"line {number} {line.strip()[:60]!r} lacks a sample or a symbol",
            "Correct or remove the line",
        )
    symbol = symbol_of(cells[columns.symbol], vocabulary)
    if symbol is None:
        known = "".join(sorted(BEAT_SYMBOLS | OTHER_SYMBOLS))
        raise LabelsUnreadable(
            path,
            f"line {number} has the unknown symbol {cells[columns.symbol]!r}",
            f"Use one of WFDB's symbols {known}, or name it in site.toml under [vocabulary]",
        )
    return cells[columns.sample], symbol


def _sample(path: Path, number: int, cell: str) -> int:
    if not cell.isascii() or not cell.isdigit() or len(cell) > _MOST_DIGITS:
        raise LabelsUnreadable(
            path,
            f"line {number} has the sample number {cell[:40]!r}",
            "Give whole sample numbers from 0 on",
        )
    return int(cell)


def _time(path: Path, number: int, cell: str) -> float:
    """Parse a time, which may have a decimal comma."""
    if re.fullmatch(r"\d{1,20}([.,]\d+)?", cell, re.ASCII) is None:
        raise LabelsUnreadable(
            path,
            f"line {number} has the time {cell[:40]!r}",
            "Give times from 0 on, in the unit that the header names",
        )
    return float(cell.replace(",", "."))
