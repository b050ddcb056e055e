"""The kinds of label files: WFDB annotations, the text that `rdann` prints, tables of samples or times, EDF+ annotations."""

import csv
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO, TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.bounded import read_bounded
from ecgfl_adapters.companions import absence, content_of
from ecgfl_adapters.edf.labels import read_edf_labels
from ecgfl_adapters.errors import LIBRARY_ERRORS, AdapterError, LabelsUnreadable
from ecgfl_adapters.label_axis import (
    TableAxis,
    samples_at_clock,
    samples_at_numbers,
    samples_at_times,
)
from ecgfl_adapters.recording import BeatLabel
from ecgfl_adapters.symbols import BEAT_SYMBOLS, NO_WORDS, OTHER_SYMBOLS, in_order, symbol_of
from ecgfl_adapters.tables.stamps import Stamps
from ecgfl_adapters.tables.time_units import seconds_in, time_title
from ecgfl_adapters.timeline import check_rate

LARGEST_LABELS = 1 << 26
"""Largest size of a label file in bytes; it is read whole."""

MOST_LABELS = 4_000_000
"""Largest number of labels in a file: 14 days at 198 beats per minute. Each takes about 200 bytes of memory."""

LONGEST_LINE = 1 << 16
"""Largest number of characters of a line."""

_EDF_SUFFIXES = {".edf", ".bdf"}
_TEXT_SUFFIXES = {".csv", ".txt", ".tsv"}
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
_FIRST_OF_NO_BEAT = 59
"""Smallest code of a word in a WFDB annotation file that adds to another: https://physionet.org/physiotools/wag/annot-5.htm."""
_CLOCK = re.compile(r"\[?(\d+:)+\d+(\.\d+)?\]?")
_CLOCK_THEN_BLANK = re.compile(rf"{_CLOCK.pattern}\s")


class _Columns(NamedTuple):
    """sample, symbol : places of the columns. seconds : in one unit of the first, where it holds times in numbers."""

    sample: int
    symbol: int
    seconds: float | None = None
    is_time: bool = False


def read_labels(
    path: Path,
    fs: float,
    clock_fs: float | None = None,
    vocabulary: Mapping[str, str] = NO_WORDS,
    axis: TableAxis | None = None,
) -> tuple[BeatLabel, ...]:
    """Every annotation of a label file, beats and others, in order of their samples.

    Parameters
    ----------
    path : a WFDB annotation file, text with the suffix .csv, .txt or .tsv, or an EDF+ file with annotations.
    fs : sampling rate of the leads in hertz, to which sample numbers are brought.
    clock_fs : rate in hertz at which a WFDB annotation file that does not say so counts its samples; default `fs`.
    vocabulary : a site's own words for beats.
    axis : that of the table which the labels belong to, where its times do not begin at 0 or rows are missing.

    Raises `LabelsUnreadable` for a file that is missing, cut off or not understood.
    """
    absent = absence(path)
    if absent is not None:
        raise LabelsUnreadable(
            path,
            f"label file {absent.problem}",
            f"{absent.fix}; --labels none reads the recording without labels",
        )
    content = content_of(path)
    raw = _content(path) if path.suffix.lower() not in _EDF_SUFFIXES else b""
    if path.suffix.lower() in _EDF_SUFFIXES:
        return read_edf_labels(content, fs, vocabulary)
    if path.suffix.lower() in _TEXT_SUFFIXES:
        return in_order(_read_table(path, raw, fs, vocabulary, axis))
    labels = in_order(_read_wfdb(path, raw, fs, clock_fs or fs))
    return labels if axis is None else in_order(_counted(labels, axis))


def _content(path: Path) -> bytes:
    try:
        return read_bounded(content_of(path), LARGEST_LABELS)
    except OSError as error:
        raise LabelsUnreadable(
            path,
            f"label file cannot be read ({error.strerror})",
            "Check the path given with --labels; --labels none reads the recording without labels",
        ) from error


def contradicting_line(path: Path) -> int | None:
    """Return the number of the first line of a prediction's table whose class is N or V, but not its symbol; None without one."""
    if path.suffix.lower() not in _TEXT_SUFFIXES:
        return None
    lines = _lines(path, _content(path))
    names = [name.lower() for name in _cells(next(lines, (1, ""))[1])]
    if "symbol" not in names or "class" not in names:
        return None
    for number, line in lines:
        row = dict(zip(names, _cells(line), strict=False))
        if row.get("class") in {"N", "V"} and row["class"] != row.get("symbol"):
            return number
    return None


def _read_wfdb(path: Path, raw: bytes, fs: float, clock_fs: float) -> list[BeatLabel]:
    import wfdb  # brings pandas along: only when a file is read

    if len(raw) < 2 or len(raw) % 2 or raw[-2:] != b"\0\0":
        raise LabelsUnreadable(
            path,
            f"WFDB annotation file of {len(raw)} bytes has no end-of-file mark (two zero bytes): cut off, or another format",
            "Copy the file again, or leave labels out with --labels none",
        )
    if not any(raw):
        return []
    codes = np.frombuffer(raw, "<u2") >> 10
    if (
        np.count_nonzero((codes > 0) & (codes < _FIRST_OF_NO_BEAT)) > MOST_LABELS
    ):  # words of texts may count, too
        raise _too_many(path)
    content = content_of(path)
    _refuse_remote_name(content)
    try:
        found = wfdb.rdann(
            str(content.absolute().with_suffix("")),
            content.suffix[1:],
            return_label_elements=["symbol"],
        )
        stated = float(found.fs) if found.fs else clock_fs
        check_rate(path, stated)
        samples = [int(sample) for sample in found.sample]
        symbols = list(found.symbol)
    except AdapterError:
        raise
    except LIBRARY_ERRORS as error:
        raise LabelsUnreadable(
            path,
            f"not a WFDB annotation file ({error})",
            "Copy the file again, or leave labels out with --labels none",
        ) from error
    if samples and min(samples) < 0:
        raise LabelsUnreadable(
            path, f"annotation at sample {min(samples)}", "Export the annotations again"
        )
    if stated != fs:
        samples = [round(sample * fs / stated) for sample in samples]
    # A code without a symbol says nothing about a beat, and could not be written again.
    return [
        BeatLabel(sample, symbol)
        for sample, symbol in zip(samples, symbols, strict=True)
        if isinstance(symbol, str)
    ]


def _refuse_remote_name(path: Path) -> None:
    """wfdb opens files through fsspec, which takes "://" and "::" for addresses."""
    if "://" in str(path) or "::" in str(path.absolute()):
        raise LabelsUnreadable(
            path,
            "the path holds '://' or '::'",
            "Rename the folder or file: only local files are read",
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
                f"line {header[0]} {header[1].strip()[:60]!r} names no columns 'sample' and 'symbol'",
                "Give a file with the header line 'sample,symbol', or 'time_s,symbol' with times as in the table",
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
    """Return the samples of labels that are given by times. symbols : takes the symbols."""
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
    """Yield the lines with their numbers, without blank ones and comments, one by one, so that they do not fill the memory."""
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = TextIOWrapper(BytesIO(raw), encoding, errors="replace", newline="")
    number = found = 0
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
                found += 1
                if found > MOST_LABELS + 1:
                    raise _too_many(path)
                yield number, line


def _too_many(path: Path) -> LabelsUnreadable:
    return LabelsUnreadable(
        path,
        f"label file holds more than {MOST_LABELS} labels",
        "Export the labels without what is no beat, or the recording in parts; --labels none reads it without labels",
    )


def _counted(labels: Sequence[BeatLabel], axis: TableAxis) -> list[BeatLabel]:
    numbers = np.array([label.sample for label in labels], dtype=np.int64)
    symbols = [label.symbol for label in labels]
    samples = samples_at_numbers(numbers, symbols, axis)
    return [
        BeatLabel(sample, symbol) for sample, symbol in zip(samples.tolist(), symbols, strict=True)
    ]


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
