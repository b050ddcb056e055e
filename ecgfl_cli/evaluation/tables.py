"""Tables of an evaluation. They fit 80 columns if record names have at most 16 characters."""

from collections.abc import Callable
from typing import NamedTuple

from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.paired import PairedEvaluation
from ecgfl_cli.evaluation.report import STATISTICS, Evaluation

Row = tuple[object, ...]

PER_HOUR = "veb_false_positives_per_hour"
SHOWN = {
    "qrs_sensitivity": "QRS Se %",
    "qrs_positive_predictivity": "QRS +P %",
    "qrs_f1": "QRS F1 %",
    "veb_sensitivity": "VEB Se %",
    "veb_ppv": "VEB +P %",
    "veb_f1": "VEB F1 %",
    PER_HOUR: "VEB FP/h",
}
"""Usual names of the figures in `STATISTICS`; all but the last are shown in percent."""


class FigureTable(NamedTuple):
    """A column whose name ends in a space holds text, the others numbers.

    Attributes
    ----------
    footer
        All records together.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[Row]
    footer: Row | None = None


def qrs_table(title: str, evaluation: Evaluation) -> FigureTable:
    """Return the table of the detected beats, by record and gross."""
    return _by_record(title, ("TP", "FN", "FP", "Se %", "+P %", "F1 %"), evaluation, _qrs_cells)


def veb_table(title: str, evaluation: Evaluation) -> FigureTable:
    """Return the table of the detected VEB, by record and gross."""
    return _by_record(
        title, ("TP", "FN", "FP", "Se %", "+P %", "F1 %", "FP/h"), evaluation, _veb_cells
    )


def gross_table(title: str, evaluation: Evaluation) -> FigureTable:
    """Gross figures with their intervals, and the mean over the records that define them."""
    rows: list[Row] = []
    for name, shown in SHOWN.items():
        values = (
            evaluation.gross.value(STATISTICS[name]),
            *_bounds(evaluation.intervals[name]),
            evaluation.average[name],
        )
        rows.append((shown, *(_readable(name, value) for value in values)))
    return FigureTable(title, ("figure ", "gross", "95 % from", "to", "mean of records"), rows)


def side_by_side_table(title: str, paired: PairedEvaluation) -> FigureTable:
    """VEB errors and F1 of the first, A, and the second, B, by record and gross."""
    first, second = paired.first, paired.second
    return FigureTable(
        title,
        ("record ", "FN A", "FN B", "FP A", "FP B", "F1 A %", "F1 B %"),
        [(name, *_pair_cells(a, second.records[name])) for name, a in first.records.items()],
        ("gross", *_pair_cells(first.gross, second.gross)),
    )


def difference_table(title: str, paired: PairedEvaluation) -> FigureTable:
    """Gross figures of A and B, and their difference with its interval."""
    rows: list[Row] = []
    for name, shown in SHOWN.items():
        figures = (each.gross.value(STATISTICS[name]) for each in (paired.first, paired.second))
        changes = (paired.differences[name], *_bounds(paired.intervals[name]))
        rows.append(
            (
                shown,
                *(_readable(name, figure) for figure in figures),
                *(_signed(_readable(name, change)) for change in changes),
            )
        )
    return FigureTable(title, ("figure ", "A", "B", "A - B", "95 % from", "to"), rows)


def errors_text(paired: PairedEvaluation) -> str:
    """In how many records A makes fewer VEB errors than B."""
    chance = "" if paired.sign_test is None else f"; exact sign test p = {paired.sign_test:.3g}"
    counts = f"in {paired.fewer} records, more in {paired.more}, as many in {paired.equal}"
    return f"A makes fewer VEB errors (FN + FP) than B {counts}{chance}"


def _by_record(
    title: str, columns: tuple[str, ...], evaluation: Evaluation, cells: Callable[[Comparison], Row]
) -> FigureTable:
    rows = [(name, *cells(comparison)) for name, comparison in evaluation.records.items()]
    return FigureTable(title, ("record ", *columns), rows, ("gross", *cells(evaluation.gross)))


def _qrs_cells(comparison: Comparison) -> Row:
    shares = (comparison.qrs_sensitivity, comparison.qrs_positive_predictivity, comparison.qrs_f1)
    return (comparison.qrs_tp, comparison.qrs_fn, comparison.qrs_fp, *map(_percent, shares))


def _veb_cells(comparison: Comparison) -> Row:
    shares = (comparison.veb_sensitivity, comparison.veb_ppv, comparison.veb_f1)
    counts = (comparison.veb_tp, comparison.veb_fn, comparison.veb_fp)
    return (*counts, *map(_percent, shares), comparison.veb_false_positives_per_hour)


def _pair_cells(a: Comparison, b: Comparison) -> Row:
    return (a.veb_fn, b.veb_fn, a.veb_fp, b.veb_fp, _percent(a.veb_f1), _percent(b.veb_f1))


def _bounds(interval: tuple[float, float] | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else interval


def _readable(name: str, value: float | None) -> float | None:
    return value if name == PER_HOUR else _percent(value)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:+.2f}"
