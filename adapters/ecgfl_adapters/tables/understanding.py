"""How a table was understood: reading works from it, and `ecgfl ingest --explain` shows it."""

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


@dataclass(frozen=True)
class Understanding:
    """time : the column that the rate and gaps come from, None where rows follow each other. fs :
    hertz, where known beforehand;
    fs_from : what says so.
    """

    text: TextFile
    layout: CsvLayout
    rows: Rows
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
        return self.text.path


def understand(path: Path, options: ReadOptions, notes: list[Understood]) -> Understanding:
    """Find out what the file is.

    `notes` takes what was understood, also when an `AdapterError` ends it.
    """
    layout = _layout_for(path, options, notes)
    text = open_text(path)
    notes.append(
        Understood(
            "text",
            f"{text.encoding}{', gzip' if text.compressed else ''}",
            "byte order mark" if text.mark else "its bytes",
        )
    )
    opensignals = opensignals_of(path, text.lines)
    above = statements_of(text.lines, range(0))
    rows = sniff(path, text.lines, layout, above.lead is not None and above.unit is not None)
    acqknowledge = acqknowledge_of(path, text.lines)
    rows = rows_after_counts(text.lines, rows)
    notes += [
        Understood(
            "separator",
            _SHOWN[rows.dialect.separator],
            rows.why,
            {"separator": rows.dialect.separator} if rows.dialect.separator else NOTHING,
        ),
        Understood(
            "decimal mark",
            _DECIMALS[rows.dialect.decimal],
            rows.why,
            {"decimal": rows.dialect.decimal},
        ),
        Understood(
            "rows",
            f"{len(rows.kinds)} columns from line {rows.start + 1} on",
            "the first row like those after it",
        ),
    ]
    header = header_of(path, text, rows, layout)
    columns = columns_of_header(path, rows, header, opensignals, notes)
    statements = statements_of(text.lines[: rows.start], range(header.first, rows.start))
    columns = with_stated_lead(columns, statements, notes)
    columns = named_columns(columns, acqknowledge) if acqknowledge is not None else columns
    fs, fs_from = _rate(
        path, _stated_rate(path, layout, statements, opensignals, acqknowledge), options.fs, notes
    )
    time = time_column(path, text, columns, layout, rows)
    if time is None and layout.time is None and not layout.leads:
        refuse_unnamed_time(path, text, rows, columns)
    times = () if time is None else time.places
    columns = tuple(
        column._replace(role="time") if column.place in times else column for column in columns
    )
    if time is not None:
        notes.append(
            Understood(
                "time",
                time.told,
                time.why,
                {"time": time.key} | ({"time_unit": time.unit} if time.unit else {}),
            )
        )
    else:
        notes.append(
            Understood("time", "one row after the other", "no column is a time", {"time": 0})
        )
    if fs is None and (time is None or not time.in_seconds):
        raise RateUnknown(
            path,
            "there is no time column and no comment with the sampling rate",
            f"Give the rate with --fs HZ, or {LAYOUT_FIX}",
        )
    leads, remarks = leads_of(
        path, text, rows, columns, layout, statements, opensignals, options, notes
    )
    if time is not None and layout.time is None and not layout.leads:
        refuse_unnamed_time(path, text, rows, [lead.column for lead in leads])
    return Understanding(
        text, layout, rows, columns, statements, opensignals, time, fs, fs_from, leads, remarks
    )


def _layout_for(path: Path, options: ReadOptions, notes: list[Understood]) -> CsvLayout:
    name = path.name.lower()
    for layout in options.for_format(TableOptions).layouts:
        if any(
            fnmatchcase(each, layout.files.lower()) for each in (name, name.removesuffix(".gz"))
        ):
            notes.append(Understood("layout", layout.files, FROM_LAYOUT))
            return layout
    return CsvLayout("*")


def _rate(
    path: Path, stated: tuple[float, str] | None, given: float | None, notes: list[Understood]
) -> tuple[float | None, str]:
    """Return the rate that is known before the rows are read, and what says it.

    Raises `RateUnknown` where two differ.
    """
    if (
        stated is not None
        and given is not None
        and abs(given - stated[0]) > MAX_RATE_DIFFERENCE * stated[0]
    ):
        raise RateUnknown(
            path,
            f"--fs says {given:g} Hz, but {stated[1]} says {stated[0]:g} Hz",
            "Leave out --fs HZ for this file, or correct what is wrong there",
        )
    fs, why = stated or (given, GIVEN)
    if fs is not None:
        notes.append(Understood("rate", f"{fs:g} Hz", why, {"fs": fs}))
    return (None if fs is None else float(fs)), why


def _stated_rate(
    path: Path,
    layout: CsvLayout,
    statements: Statements,
    opensignals: OpenSignals | None,
    acqknowledge: AcqKnowledge | None,
) -> tuple[float, str] | None:
    if layout.fs is not None:
        if not layout.fs > 0:
            raise RateUnknown(
                path,
                f"fs = {layout.fs:g} in site.toml is no rate",
                "Correct it: hertz, more than 0",
            )
        return layout.fs, FROM_LAYOUT
    if opensignals is not None:
        return opensignals.fs, f"line {opensignals.line}, of OpenSignals"
    if acqknowledge is not None:
        return acqknowledge.fs, f"line {acqknowledge.line}, of AcqKnowledge"
    rate = stated_rate(path, statements)
    return None if rate is None else (rate.hertz, f"line {rate.statement.line}")
