"""What the sniffer understood of a table: one object, which reading works from and `ecgfl ingest --explain` shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from ecgfl_adapters.csv_cells import cells_of, is_comment, kind_of
from ecgfl_adapters.csv_columns import Column, column_of, split_unit, titles_of
from ecgfl_adapters.csv_layout import CsvLayout
from ecgfl_adapters.csv_opensignals import OpenSignals, opensignals_of, units_fix
from ecgfl_adapters.csv_opensignals import is_counter, is_digital
from ecgfl_adapters.csv_open import TextFile, open_text
from ecgfl_adapters.csv_sniff import LAYOUT_FIX, Rows, sniff
from ecgfl_adapters.csv_statements import Statements, stated_rate, statements_of, states_rate
from ecgfl_adapters.csv_time_column import TimeColumn, time_column
from ecgfl_adapters.errors import FileUnreadable, LeadMissing, RateUnknown, UnitUnknown
from ecgfl_adapters.leads import choose_leads, is_ecg, is_other, unique_names
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.units import Scale, factor_to_mv, is_adc, parse_units

NOTHING: Mapping[str, Any] = {}
FROM_LAYOUT = "the [[csv]] layout in site.toml"
_SHOWN = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blanks", "": "none: one column"}
_NOT_READ = {
    "text": "it holds words",
    "date": "dates do not enter",
    "counter": "it counts the rows, to show lost ones",
    "other": "it is no ECG's",
    "empty": "it is empty",
}
_DECIMALS = {".": "point", ",": "comma"}
_STEADY_ROWS = 100


class Understood(NamedTuple):
    """One thing that was found out. why : the line, the option or the layout that says so. layout : the fields of a `CsvLayout`
    that would say the same."""

    what: str
    value: str
    why: str
    layout: Mapping[str, Any] = NOTHING


class LeadColumn(NamedTuple):
    """A column that is read. name : of the lead, unique in the file."""

    column: Column
    name: str
    scale: Scale


@dataclass(frozen=True)
class Understanding:
    """time : the column that the rate and gaps come from, None where rows follow each other. fs : hertz, where known beforehand;
    fallback_fs : what to take where the time column is too irregular to say."""

    text: TextFile
    layout: CsvLayout
    rows: Rows
    columns: tuple[Column, ...]
    statements: Statements
    opensignals: OpenSignals | None
    time: TimeColumn | None
    fs: float | None
    fallback_fs: float | None
    leads: tuple[LeadColumn, ...]

    @property
    def path(self) -> Path:
        return self.text.path


def understand(path: Path, options: ReadOptions, notes: list[Understood]) -> Understanding:
    """Find out what the file is. `notes` takes what was understood, also when an `AdapterError` ends it."""
    layout = _layout_for(path, options, notes)
    text = open_text(path)
    notes.append(
        Understood("text", f"{text.encoding}{', gzip' if text.compressed else ''}", "byte order mark" if text.mark else "its bytes")
    )
    opensignals = opensignals_of(path, text.lines)
    above = statements_of(text.lines, range(0))
    rows = sniff(path, text.lines, layout, above.lead is not None and above.unit is not None)
    notes += [
        Understood(
            "separator",
            _SHOWN[rows.dialect.separator],
            rows.why,
            {"separator": rows.dialect.separator} if rows.dialect.separator else NOTHING,
        ),
        Understood("decimal mark", _DECIMALS[rows.dialect.decimal], rows.why, {"decimal": rows.dialect.decimal}),
        Understood("rows", f"{len(rows.kinds)} columns from line {rows.start + 1} on", "the first row like those after it"),
    ]
    header = _header(path, text, rows, layout)
    columns = _columns(path, text, rows, header, opensignals, notes)
    statements = statements_of(text.lines[: rows.start], range(header.first, rows.start))
    columns = _with_stated_lead(columns, statements, notes)
    fs = _rate(path, layout, statements, opensignals, notes)
    time = time_column(path, columns, layout, rows)
    if time is not None:
        notes.append(Understood("time", time.told, time.why, {"time": time.key, "time_unit": time.unit}))
    else:
        notes.append(Understood("time", "one row after the other", "no column is a time", {"time": 0}))
    if fs is None and (time is None or not time.in_seconds):
        if options.fs is None:
            raise RateUnknown(
                path,
                "there is no time column and no comment with the sampling rate",
                f"Give the rate with --fs HZ, or {LAYOUT_FIX}",
            )
        fs = float(options.fs)
        notes.append(Understood("rate", f"{fs:g} Hz", "--fs", {"fs": fs}))
    _refuse_unnamed_time(path, text, rows, columns, time, layout)
    leads = _leads(path, columns, layout, statements, opensignals, options, notes)
    return Understanding(
        text, layout, rows, columns, statements, opensignals, time, fs, float(options.fs) if options.fs else None, leads
    )


def _layout_for(path: Path, options: ReadOptions, notes: list[Understood]) -> CsvLayout:
    name = path.name.lower()
    for layout in options.layouts:
        if any(fnmatchcase(each, layout.files.lower()) for each in (name, name.removesuffix(".gz"))):
            notes.append(Understood("layout", layout.files, FROM_LAYOUT))
            return layout
    return CsvLayout("*")


class _Header(NamedTuple):
    """titles : one a column. first : index of the first line that names columns and units; that of the rows without any."""

    titles: tuple[str, ...]
    units: tuple[str, ...] | None
    first: int
    why: str


def _columns(
    path: Path, text: TextFile, rows: Rows, header: _Header, opensignals: OpenSignals | None, notes: list[Understood]
) -> tuple[Column, ...]:
    if opensignals is not None:
        return _opensignals_columns(path, rows, opensignals, notes)
    titles, units = header.titles, header.units
    same = {"skip_lines": header.first, "header": True} if header.first < rows.start else NOTHING
    same = same if any(titles) else {"header": False}
    notes.append(Understood("header", ", ".join(title or "-" for title in titles) if any(titles) else "none", header.why, same))
    return tuple(
        column_of(place, titles[place], kind, units[place] if units is not None else None) for place, kind in enumerate(rows.kinds)
    )


def _header(path: Path, text: TextFile, rows: Rows, layout: CsvLayout) -> _Header:
    """From the line above the rows, else from a comment with as many cells, else from a "Labels" comment."""
    width = len(rows.kinds)
    nameless = ("",) * width
    if layout.header is False:
        return _Header(nameless, None, rows.start, FROM_LAYOUT)
    if rows.header is not None and not states_rate(text.lines[rows.header]):
        lines = [*_lines_above(text, rows.header)[:1], rows.header]
        found = titles_of([_cells(text.lines[at], rows) for at in lines], width)
        if found is not None and any(found[0]) and (width > 1 or not _is_statement(text.lines[rows.header])):
            return _Header(*found, lines[0] if found[1] is not None else rows.header, f"line {rows.header + 1}")
        cells = cells_of(text.lines[rows.header], rows.dialect.separator)
        if len(cells) > 2 and width > 1:
            raise FileUnreadable(
                path,
                f"line {rows.header + 1} names {len(cells)} columns, but line {rows.start + 1} has {width} values",
                f"Correct the header line, or {LAYOUT_FIX}",
            )
    comments = [at for at, line in enumerate(text.lines[: rows.start]) if is_comment(line)]
    for at in reversed(comments if width > 1 else []):
        found = titles_of([_cells(text.lines[at].strip().lstrip("#%/ \t"), rows)], width)
        if found is not None and any(found[0]) and not all(kind_of(title, ".") == "number" for title in found[0]):
            return _Header(*found, rows.start, f"line {at + 1}, a comment")
    labels = statements_of(text.lines[: rows.start], range(rows.start)).one({"labels"})
    if labels is not None and len(cells := cells_of(labels.value, rows.dialect.separator)) == width:
        return _Header(tuple(cells), None, rows.start, f"line {labels.line}, a comment")
    return _Header(nameless, None, rows.start, "no line above the rows has as many cells")


def _lines_above(text: TextFile, line: int) -> list[int]:
    return [at for at in range(line - 1, -1, -1) if text.lines[at].strip() and not is_comment(text.lines[at])]


def _cells(line: str, rows: Rows) -> list[str]:
    """Of a header, without or with the separator that ends each row."""
    cells = cells_of(line, rows.dialect.separator)
    if len(cells) == len(rows.kinds) - 1 and rows.kinds[-1] == "empty":
        return [*cells, ""]
    return cells[:-1] if len(cells) == len(rows.kinds) + 1 and cells[-1] == "" else cells


def _is_statement(line: str) -> bool:
    """A lone line above a single column that is "key: value" rather than a name."""
    found = statements_of([line], range(0)).all
    return bool(found) and split_unit(line.strip().strip("'\"")).unit is None


def _opensignals_columns(
    path: Path, rows: Rows, header: OpenSignals, notes: list[Understood]
) -> tuple[Column, ...]:
    width = sum(kind != "empty" for kind in rows.kinds)
    if len(header.names) != width:
        raise FileUnreadable(
            path,
            f"line {header.line} names {len(header.names)} columns, but line {rows.start + 1} has {width} values",
            "Export the recording again from OpenSignals",
        )
    notes.append(Understood("header", ", ".join(header.names), f"line {header.line}, of OpenSignals"))
    found = []
    for place, (name, sensor) in enumerate(zip(header.names, header.sensors, strict=True)):
        column = column_of(place, name, rows.kinds[place], None)
        if is_counter(name):
            column = column._replace(role="counter")
        elif is_digital(name):
            column = column._replace(role="other")
        elif sensor.upper().startswith("ECG"):
            column = column._replace(name="ECG")
        elif sensor:
            column = column._replace(role="other")
        found.append(column)
    found += [column_of(place, "", "empty", None) for place in range(width, len(rows.kinds))]
    return tuple(found)


def _with_stated_lead(
    columns: tuple[Column, ...], statements: Statements, notes: list[Understood]
) -> tuple[Column, ...]:
    signals = [column for column in columns if column.role == "lead"]
    if len(signals) != 1 or signals[0].title or statements.lead is None:
        return columns
    lead = statements.lead
    notes.append(Understood("lead", lead.value, f"line {lead.line}"))
    return tuple(column._replace(name=lead.value) if column is signals[0] else column for column in columns)


def _rate(
    path: Path, layout: CsvLayout, statements: Statements, opensignals: OpenSignals | None, notes: list[Understood]
) -> float | None:
    if layout.fs is not None:
        if not layout.fs > 0:
            raise RateUnknown(path, f"fs = {layout.fs:g} in site.toml is no rate", "Correct it: hertz, more than 0")
        notes.append(Understood("rate", f"{layout.fs:g} Hz", FROM_LAYOUT, {"fs": layout.fs}))
        return layout.fs
    if opensignals is not None:
        notes.append(Understood("rate", f"{opensignals.fs:g} Hz", f"line {opensignals.line}, of OpenSignals", {"fs": opensignals.fs}))
        return opensignals.fs
    rate = stated_rate(path, statements)
    if rate is None:
        return None
    notes.append(Understood("rate", f"{rate.hertz:g} Hz", f"line {rate.statement.line}", {"fs": rate.hertz}))
    return rate.hertz


def _refuse_unnamed_time(
    path: Path, text: TextFile, rows: Rows, columns: tuple[Column, ...], time: TimeColumn | None, layout: CsvLayout
) -> None:
    """A column that goes up all the time is no lead, whatever it is called."""
    if layout.time is not None or layout.leads:
        return
    lines = [line for line in text.lines[rows.start : rows.start + 300] if line.strip() and not is_comment(line)]
    table = [cells_of(line, rows.dialect.separator) for line in lines]
    for column in columns:
        if column.role != "lead" or column.kind != "number" or (time is not None and not column.title):
            continue
        values = [_number(cells[column.place], rows) for cells in table if len(cells) == len(columns)]
        steps = [after - before for before, after in zip(values, values[1:], strict=False)]
        if not steps or not all(step > 0 for step in steps) or len(columns) < 2:
            continue
        first_without_name = column.place == 0 and not column.title and len(steps) > 1
        if first_without_name or (len(steps) >= _STEADY_ROWS and max(steps) < 1.5 * min(steps)):
            shown = f"column {column.title!r}" if column.title else "the first column" if column.place == 0 else "a column"
            raise FileUnreadable(
                path,
                f"{shown} always goes up, as time does, but has no name that says so",
                f"Add a header such as 'time_s,ecg_mV', or {LAYOUT_FIX}, with time = {column.place + 1} and its time_unit",
            )


def _number(cell: str, rows: Rows) -> float:
    try:
        return float(cell.replace(rows.dialect.decimal, "."))
    except ValueError:
        return float("nan")


def _leads(
    path: Path,
    columns: Sequence[Column],
    layout: CsvLayout,
    statements: Statements,
    opensignals: OpenSignals | None,
    options: ReadOptions,
    notes: list[Understood],
) -> tuple[LeadColumn, ...]:
    signals = [column for column in columns if column.role in ("lead", "other") and column.kind in ("number", "empty")]
    if layout.leads:
        signals = [_of_layout(path, columns, key)._replace(name=name, role="lead") for key, name in layout.leads.items()]
    if not signals:
        titles = ", ".join(column.title or f"column {column.place + 1}" for column in columns)
        raise FileUnreadable(path, f"columns {titles} hold no signal", "Export the signal again, with its leads")
    names = unique_names([column.name or f"column {column.place + 1}" for column in signals])
    titles = [column.title for column in columns]
    wanted = [split_unit(name).name if name in titles else name for name in options.leads]

    def keep(index: int) -> bool:
        column = signals[index]
        patterns = options.ecg_channels
        if column.role == "other":
            return False
        return bool(layout.leads) or not is_other(names[index], patterns)

    chosen = choose_leads(path, names, wanted, keep)
    for column in columns:
        why = _NOT_READ.get(column.role)
        if column in signals and signals.index(column) in chosen:
            continue
        if why is None and column in signals and chosen:
            why = "--lead names others" if wanted else "its name is that of something else"
        if why is not None:
            notes.append(Understood(f"column {column.place + 1}", f"{column.title or '-'}: not read", why))
    found = []
    for index in chosen:
        key = signals[index].title or str(signals[index].place + 1)
        same: dict[str, Any] = {"leads": {key: names[index]}}
        try:
            scale, unit, why = _scale(path, signals[index], names[index], layout, statements, opensignals, options)
        except UnitUnknown:
            notes.append(Understood(f"column {signals[index].place + 1}", f"lead {names[index]}, in ?", "nothing states a unit", same))
            raise
        same["units"] = unit
        notes.append(Understood(f"column {signals[index].place + 1}", f"lead {names[index]}, in {unit}", why, same))
        found.append(LeadColumn(signals[index], names[index], scale))
    return tuple(found)


def _of_layout(path: Path, columns: Sequence[Column], key: str) -> Column:
    for column in columns:
        if key in (column.title, column.name) and key:
            return column
    if key.isdigit() and 0 < int(key) <= len(columns):
        return columns[int(key) - 1]
    there = ", ".join(repr(column.title or str(column.place + 1)) for column in columns)
    raise LeadMissing(path, f"[[csv]] leads names column {key!r}, which is not in the file (columns: {there})", "Correct site.toml")


def _scale(
    path: Path,
    column: Column,
    name: str,
    layout: CsvLayout,
    statements: Statements,
    opensignals: OpenSignals | None,
    options: ReadOptions,
) -> tuple[Scale, str, str]:
    """Of one lead, with its unit and what states it: the column, then the lines above; --units and the layout win over both."""
    given, source = (options.units, "--units") if options.units is not None else (layout.units, FROM_LAYOUT)
    stated, why = column.unit, f"the header names the unit {column.unit!r}"
    if stated is None and statements.unit is not None:
        stated, why = statements.unit.value, f"line {statements.unit.line} names the unit"
    factor = factor_to_mv(stated) if stated is not None else None
    if stated is not None and factor is not None and (given is None or is_adc(given)):
        return Scale(factor), stated, why
    if given is None:
        raise UnitUnknown(
            path,
            f"no unit is stated for column {name!r}",
            units_fix(opensignals.bits)
            if opensignals is not None
            else "Give --units mV, uV or V; for ADC units --units adc:GAIN:BASELINE (GAIN per mV), for mitdb --units adc:200:1024; "
            "or name the other leads with --lead NAME",
        )
    return parse_units(path, given), given, source
