"""Reads the header of AcqKnowledge text files (BIOPAC).

It states the sampling interval, the number of channels, and a name and a unit for each channel.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.errors import RateUnknown
from ecgfl_adapters.tables.cells import cells_of
from ecgfl_adapters.tables.columns import Column
from ecgfl_adapters.tables.sniff import Rows
from ecgfl_adapters.tables.time_units import SECONDS_PER
from ecgfl_adapters.timeline import RATES
from ecgfl_adapters.units import factor_to_mv

_INTERVAL = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*([^\W\d_]+)\s*/\s*sample\s*", re.IGNORECASE)
_CHANNELS = re.compile(r"\s*(\d{1,3})\s+channels?\s*", re.IGNORECASE)
_COUNT = r"[1-9]\d{2,9}"
"""Minimum number of samples in a channel of a recording."""
_HEADER_LINES = 10
"""Number of lines in which the interval is searched."""


class AcqKnowledge(NamedTuple):
    """A header of AcqKnowledge.

    Parameters
    ----------
    line : int
        Number of the line that states the interval, from 1.
    fs : float
        Sampling rate in hertz.
    names, units : tuple of str
        Names and units of the channels, in the order of their columns.
    """

    line: int
    fs: float
    names: tuple[str, ...]
    units: tuple[str, ...]


def acqknowledge_of(path: Path, lines: Sequence[str]) -> AcqKnowledge | None:
    """Return the header of AcqKnowledge, or None for the file of another program.

    Raises `RateUnknown` for an interval that is not plausible.
    """
    for at, line in enumerate(lines[:_HEADER_LINES]):
        interval = _INTERVAL.fullmatch(line)
        channels = (
            _CHANNELS.fullmatch(lines[at + 1])
            if interval is not None and at + 1 < len(lines)
            else None
        )
        if interval is None or channels is None:
            continue
        seconds = float(interval[1].replace(",", ".")) * SECONDS_PER.get(interval[2].lower(), 0.0)
        if not seconds or not RATES[0] <= 1 / seconds <= RATES[1]:
            raise RateUnknown(
                path,
                f"line {at + 1} states the interval {line.strip()[:40]!r}",
                "Correct it, for example '4 msec/sample'",
            )
        below = [text.strip() for text in lines[at + 2 : at + 2 + 2 * int(channels[1])]]
        return AcqKnowledge(
            at + 1, float(f"{1 / seconds:.9g}"), tuple(below[::2]), tuple(below[1::2])
        )
    return None


def rows_after_counts(lines: Sequence[str], rows: Rows) -> Rows:
    """Return `rows` without the line below the titles that counts the samples of each channel."""
    first = cells_of(lines[rows.start], rows.dialect.separator)
    below = (
        cells_of(lines[rows.start + 1], rows.dialect.separator)
        if rows.start + 1 < len(lines)
        else [""]
    )
    counts = [cell for cell in first if cell]
    is_counts = (
        not first[0]
        and below[0] != ""
        and bool(counts)
        and all(re.fullmatch(_COUNT, cell) for cell in counts)
    )
    return rows._replace(start=rows.start + 1) if is_counts else rows


def named_columns(columns: tuple[Column, ...], header: AcqKnowledge) -> tuple[Column, ...]:
    """Return `columns` with the names and units of the channels, if each channel has a column."""
    signals = [column for column in columns if column.role in ("lead", "other")]
    if len(signals) != len(header.names) or len(header.units) != len(header.names):
        return columns
    channels = dict(
        zip(
            (column.place for column in signals),
            zip(header.names, header.units, strict=True),
            strict=True,
        )
    )
    named = []
    for column in columns:
        name, unit = channels.get(column.place, (column.name, ""))
        known = column.unit is None and factor_to_mv(unit) is not None
        named.append(column._replace(name=name or column.name, unit=unit if known else column.unit))
    return tuple(named)
