"""How a table was understood: reading uses it, and `ecgfl ingest --explain` shows it."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ecgfl_adapters.errors import RateUnknown
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Remark
from ecgfl_adapters.tables.acqknowledge import (
    AcqKnowledge,
    acqknowledge_of,
    named_columns,
    rows_after_counts,
)
from ecgfl_adapters.tables.clock import GIVEN
from ecgfl_adapters.tables.columns import Column
from ecgfl_adapters.tables.header import columns_of_header, header_of, with_stated_lead
from ecgfl_adapters.tables.layout import FROM_LAYOUT, NOTHING, CsvLayout, TableOptions, Understood
from ecgfl_adapters.tables.leads import LeadColumn, leads_of, refuse_unnamed_time
from ecgfl_adapters.tables.opensignals import OpenSignals, opensignals_of
from ecgfl_adapters.tables.sniff import LAYOUT_FIX, Rows, sniff
from ecgfl_adapters.tables.statements import Statements, stated_rate, statements_of
from ecgfl_adapters.tables.table import Table
from ecgfl_adapters.tables.text_file import TextFile, open_text
from ecgfl_adapters.tables.time_column import TimeColumn, time_column
from ecgfl_adapters.timeline import MAX_RATE_DIFFERENCE

_SHOWN = {
    ",": "comma",
    ";": "semicolon",
    "\t": "tab",
    "|": "bar",
    " ": "blanks",
    "": "none: one column",
}
_DECIMALS = {".": "point", ",": "comma"}
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Understanding:
    """How a table was understood.

    Parameters
    ----------
    table : Table
        The file, its layout and its rows.
    columns : tuple of Column
        All columns.
    statements : Statements
        What the lines above the rows state.
    opensignals : OpenSignals, optional
        Its header, for a file of OpenSignals.
    time : TimeColumn, optional
        The column that shows the rate and the gaps; None if no row is missing.
    fs : float, optional
        Sampling rate in hertz, if it is known before the rows are read.
    fs_from : str
        What states the rate.
    leads : tuple of LeadColumn
        The columns to read.
    remarks : tuple of Remark
        Columns left out that may be an ECG.
    """

    table: Table
    columns: tuple[Column, ...]
    statements: Statements
    opensignals: OpenSignals | None
    time: TimeColumn | None
    fs: float | None
    fs_from: str
    leads: tuple[LeadColumn, ...]
    remarks: tuple[Remark, ...]

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.table.path


def understand(path: Path, options: ReadOptions, notes: list[Understood]) -> Understanding:
    """Find out what a table holds.

    Parameters
    ----------
    path : Path
        The file.
    options : ReadOptions
        How to read it.
    notes : list of Understood
        Takes what is found out, also if an `AdapterError` is raised.
    """
    layout = _layout_for(path, options, notes)
    text = open_text(path)
    encoding = f"{text.encoding}{', gzip' if text.compressed else ''}"
    notes.append(Understood("text", encoding, "byte order mark" if text.mark else "its bytes"))
    opensignals = opensignals_of(path, text.lines)
    rows = _rows(text, layout)
    acqknowledge = acqknowledge_of(path, text.lines)
    table = Table(text, layout, rows, options, notes)
    _note_rows(table)
    header = header_of(table)
    columns = columns_of_header(table, header, opensignals)
    statements = statements_of(text.lines[: rows.start], range(header.first, rows.start))
    columns = with_stated_lead(columns, statements, table)
    columns = named_columns(columns, acqknowledge) if acqknowledge is not None else columns
    fs, fs_from = _rate(table, _stated_rate(table, statements, opensignals, acqknowledge))
    time = time_column(table, columns)
    may_lack_time = table.layout.time is None and not table.layout.leads
    if time is None:
        if may_lack_time:
            refuse_unnamed_time(table, columns)
        table.note("time", "one row after the other", "no column is a time", {"time": 0})
    else:
        columns = tuple(
            column._replace(role="time") if column.place in time.places else column
            for column in columns
        )
        unit = {"time_unit": time.unit} if time.unit else {}
        table.note("time", time.description, time.why, {"time": time.key} | unit)
    if fs is None and (time is None or not time.in_seconds):
        raise RateUnknown(
            path,
            "there is no time column and no comment with the sampling rate",
            f"Give the rate with --fs HZ, or {LAYOUT_FIX}",
        )
    leads, remarks = leads_of(table, columns, statements, opensignals)
    if time is not None and may_lack_time:
        refuse_unnamed_time(table, [lead.column for lead in leads])
    return Understanding(table, columns, statements, opensignals, time, fs, fs_from, leads, remarks)


def _rows(text: TextFile, layout: CsvLayout) -> Rows:
    """Return the rows of a file, without a line of AcqKnowledge that counts the samples."""
    numeric = {at for at, line in enumerate(text.lines) if _LETTER.search(line) is None}
    above = statements_of(text.lines, numeric)  # rows of numbers state nothing
    one_lead_stated = above.lead is not None and above.unit is not None
    rows = sniff(text.path, text.lines, layout, one_lead_stated)
    return rows_after_counts(text.lines, rows)


def _note_rows(table: Table) -> None:
    """Note the dialect and the first row of a table."""
    rows = table.rows
    separator, decimal = rows.dialect
    same = {"separator": separator} if separator else NOTHING
    table.note("separator", _SHOWN[separator], rows.why, same)
    table.note("decimal mark", _DECIMALS[decimal], rows.why, {"decimal": decimal})
    shown = f"{len(rows.kinds)} columns from line {rows.start + 1} on"
    table.note("rows", shown, "the first row like those after it")


def _layout_for(path: Path, options: ReadOptions, notes: list[Understood]) -> CsvLayout:
    """Return the first layout whose pattern fits the name of the file."""
    name = path.name.lower()
    for layout in options.for_format(TableOptions).layouts:
        pattern = layout.files.lower()
        if fnmatchcase(name, pattern) or fnmatchcase(name.removesuffix(".gz"), pattern):
            notes.append(Understood("layout", layout.files, FROM_LAYOUT))
            return layout
    return CsvLayout("*")


def _rate(table: Table, stated: tuple[float, str] | None) -> tuple[float | None, str]:
    """Return the rate that is known before the rows are read, and what states it.

    Raises `RateUnknown` if --fs differs from the file.
    """
    given = table.options.fs
    if (
        stated is not None
        and given is not None
        and abs(given - stated[0]) > MAX_RATE_DIFFERENCE * stated[0]
    ):
        raise RateUnknown(
            table.path,
            f"--fs says {given:g} Hz, but {stated[1]} says {stated[0]:g} Hz",
            "Leave out --fs HZ for this file, or correct the rate there",
        )
    fs, why = stated or (given, GIVEN)
    if fs is not None:
        table.note("rate", f"{fs:g} Hz", why, {"fs": fs})
    return (None if fs is None else float(fs)), why


def _stated_rate(
    table: Table,
    statements: Statements,
    opensignals: OpenSignals | None,
    acqknowledge: AcqKnowledge | None,
) -> tuple[float, str] | None:
    """Return the rate in the layout or in the file, and what states it."""
    fs = table.layout.fs
    if fs is not None:
        if not fs > 0:
            raise RateUnknown(
                table.path,
                f"fs = {fs:g} in site.toml is not a rate",
                "Correct it: hertz, more than 0",
            )
        return fs, FROM_LAYOUT
    if opensignals is not None:
        return opensignals.fs, f"line {opensignals.line}, of OpenSignals"
    if acqknowledge is not None:
        return acqknowledge.fs, f"line {acqknowledge.line}, of AcqKnowledge"
    rate = stated_rate(table.path, statements)
    return None if rate is None else (rate.hertz, f"line {rate.statement.line}")
