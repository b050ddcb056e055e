"""Tables of numbers as text: a column for each lead, and a time column or a rate given by hand."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.csv_clock import Clock, clock_of_index, clock_of_time
from ecgfl_adapters.csv_columns import is_index, seconds_per_unit, split_unit
from ecgfl_adapters.csv_text import Table, decode, read_table
from ecgfl_adapters.csv_write import FS_COMMENT, LABELS_SUFFIX, STEP_COMMENT, write_csv
from ecgfl_adapters.errors import FileUnreadable, RateUnknown, UnitUnknown
from ecgfl_adapters.labels import labels_for
from ecgfl_adapters.leads import choose_leads, is_other, unique_names
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Lead, Recording, Source
from ecgfl_adapters.timeline import check_rate, spread
from ecgfl_adapters.units import check_step, factor_to_mv, is_adc, parse_units

ANNOTATIONS_SUFFIX = "annotations.txt"
PREDICTIONS_SUFFIX = ".ecgfl.csv"
_SUFFIXES = {".csv", ".tsv", ".txt"}
_RATE_KEY = re.compile(r"(?:sampling|sample)[ _]?(?:rate|freq)|fs\b|fs_hz")


class CsvAdapter:
    """CSV, TSV and plain columns, with or without a header, comments and a time column."""

    name = "csv"

    def recognises(self, path: Path) -> bool:
        """By the suffix .csv or .tsv; .txt only if its first lines hold a row of numbers. Label files are not recordings."""
        if path.suffix.lower() not in _SUFFIXES or is_label_file(path) or not path.is_file():
            return False
        return path.suffix.lower() != ".txt" or _starts_with_numbers(path)

    def read(self, path: Path, options: ReadOptions) -> Recording:
        """Read the columns that may be an ECG, or those that `options.leads` names.

        The rate is what a comment states ("# fs_hz: 360", "# Sampling Rate (Hz):= 1000"), else what the time column shows, else
        `options.fs`. A jump in the time or sample column is a gap and becomes NaN. Labels are `NAME.labels.csv` or
        `NAMEannotations.txt` beside the file unless `options.labels` says otherwise. Raises `AdapterError`.
        """
        table = read_table(path, decode(path))
        clock = _clock(path, table, options)
        columns = _lead_columns(path, table)
        stated = [split_unit(table.names[column]) for column in columns]
        names = unique_names([lead.name or f"column {column + 1}" for lead, column in zip(stated, columns, strict=True)])
        wanted = [_without_unit(name, table.names) for name in options.leads]
        chosen = choose_leads(path, names, wanted, lambda index: not is_other(names[index], options.ecg_channels))
        steps = _stated_steps(path, table, len(columns))
        check_rate(path, clock.fs)
        length = int(clock.positions[-1]) + 1
        leads = []
        for index in chosen:
            samples = _millivolts(path, table.values[:, columns[index]], names[index], stated[index].unit, options)
            step = steps[index] if steps else _step(samples)
            check_step(path, f"column {names[index]!r}", step)
            check_step(path, f"column {names[index]!r}", max(step, float(np.fmax.reduce(np.abs(samples), initial=0.0)) / 2**16))
            leads.append(Lead(names[index], spread(samples.astype(np.float32), clock.positions, length), step))
        beside = [path.with_name(f"{path.stem}{LABELS_SUFFIX}"), path.with_name(f"{path.stem}{ANNOTATIONS_SUFFIX}")]
        return Recording(
            name=path.stem,
            fs=clock.fs,
            leads=tuple(leads),
            source=Source(path=path, format=self.name, patient=path.stem, identifiers=_identifiers(table)),
            labels=labels_for(path.with_suffix(""), options, beside, clock.fs),
        )

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        """Write `NAME.csv` (`time_s,<lead> (mV),...`, an empty cell for NaN) and, if there are labels, `NAME.labels.csv`."""
        return write_csv(recording, folder)


def is_label_file(path: Path) -> bool:
    """Whether the name says that the file holds beat labels, ecgfl's own among them, and no signal."""
    return path.name.lower().endswith((LABELS_SUFFIX, ANNOTATIONS_SUFFIX, PREDICTIONS_SUFFIX))


def _starts_with_numbers(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(4096)
        if b"\0" in head:
            return False
        lines = head.decode("latin-1").splitlines()
        return len(lines) > 2 and read_table(path, "\n".join(lines[:-1])).values.shape[0] > 0
    except (OSError, FileUnreadable):
        return False


def _clock(path: Path, table: Table, options: ReadOptions) -> Clock:
    fs = _stated_rate(path, table)
    for column, name in enumerate(table.names):
        factor = seconds_per_unit(name)
        if factor is not None:
            seconds = table.values[:, column] * factor
            try:
                return clock_of_time(path, seconds, fs)
            except RateUnknown:
                if options.fs is None or fs is not None:
                    raise
                return clock_of_time(path, seconds, float(options.fs))
    fs = fs or (float(options.fs) if options.fs else None)
    if fs is None:
        raise RateUnknown(path, "there is no time column and no comment with the sampling rate", "Give the rate with --fs HZ")
    for column, name in enumerate(table.names):
        if is_index(name):
            return clock_of_index(path, table.values[:, column], fs)
    return Clock(fs, np.arange(table.values.shape[0], dtype=np.int64))


def _stated_rate(path: Path, table: Table) -> float | None:
    for key, value in table.comments.items():
        if _RATE_KEY.match(key):
            number = re.match(r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+", value)
            fs = float(number[0]) if number else 0.0
            fs *= 1000.0 if "khz" in f"{key} {value}".lower() else 1.0
            if not fs > 0:
                raise RateUnknown(
                    path, f"comment {key!r} states the rate {value!r}", f"Correct it, for example '# {FS_COMMENT}: 360'"
                )
            return fs
    return None


def _lead_columns(path: Path, table: Table) -> list[int]:
    """Every column but time, sample number and empty ones."""
    if (
        not any(table.names)
        and table.values.shape[1] > 1
        and table.values.shape[0] > 2
        and (np.diff(table.values[:, 0]) > 0).all()
    ):
        raise FileUnreadable(
            path,
            "the first column always goes up, as time does, but has no name",
            "Add a header such as 'time_s,ecg_mV'",
        )
    columns = [
        column
        for column, name in enumerate(table.names)
        if seconds_per_unit(name) is None and not is_index(name) and (name or not np.isnan(table.values[:, column]).all())
    ]
    if not columns:
        raise FileUnreadable(path, f"columns {', '.join(table.names)} hold no signal", "Export the signal again, with its leads")
    return columns


def _without_unit(name: str, columns: tuple[str, ...]) -> str:
    """A lead may be asked for by its whole column name, "MLII (mV)"."""
    return split_unit(name).name if name in columns else name


def _millivolts(
    path: Path, values: NDArray[np.float64], name: str, unit: str | None, options: ReadOptions
) -> NDArray[np.float64]:
    factor = factor_to_mv(unit) if unit is not None else None
    if factor is not None and (options.units is None or is_adc(options.units)):
        return values * factor
    if options.units is None:
        raise UnitUnknown(
            path,
            f"no unit is stated for column {name!r}",
            "Give --units mV, uV or V; for ADC units --units adc:GAIN:BASELINE (GAIN per mV), for mitdb --units adc:200:1024; "
            "or name the other leads with --lead NAME",
        )
    scale = parse_units(path, options.units)
    return (values - (scale.baseline or 0.0)) * scale.factor


def _stated_steps(path: Path, table: Table, leads: int) -> list[float]:
    """Quantisation steps in millivolts from the comment that `CsvAdapter.write` leaves; empty where there is none."""
    text = table.comments.get(STEP_COMMENT, "")
    try:
        steps = [float(step) for step in text.split()]
        if steps and (len(steps) != leads or not all(0 < step < float("inf") for step in steps)):
            raise ValueError(text)
    except ValueError as error:
        raise FileUnreadable(
            path,
            f"comment {STEP_COMMENT!r} is {text!r}, not one positive number for each of {leads} leads",
            "Remove the comment line",
        ) from error
    return steps


def _step(samples: NDArray[np.float64]) -> float:
    """The smallest difference between two values that occur: the quantisation step of anything that came from an ADC."""
    levels = np.unique(samples[np.isfinite(samples)])
    steps = np.diff(levels)
    steps = steps[steps > 1e-9 * max(1.0, float(np.abs(levels).max(initial=0.0)))]
    return float(f"{steps.min():.6g}") if steps.size else 1e-3


def _identifiers(table: Table) -> dict[str, str]:
    return {key: value for key, value in table.comments.items() if key not in {FS_COMMENT, STEP_COMMENT}}
