"""The figures of an evaluation: for each record, gross, and with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecgfl_cli.evaluation import statistics
from ecgfl_cli.evaluation.annotations import LABELS
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.intervals import bootstrap
from ecgfl_cli.evaluation.statistics import Statistic

STATISTICS: dict[str, Statistic] = {
    "qrs_sensitivity": statistics.qrs_sensitivity,
    "qrs_positive_predictivity": statistics.qrs_positive_predictivity,
    "qrs_f1": statistics.qrs_f1,
    "veb_sensitivity": statistics.veb_sensitivity,
    "veb_ppv": statistics.veb_ppv,
    "veb_f1": statistics.veb_f1,
    "veb_false_positive_rate": statistics.veb_false_positive_rate,
    "veb_false_positives_per_hour": statistics.veb_false_positives_per_hour,
}
"""The reported statistics by their names in JSON."""


@dataclass(frozen=True)
class Evaluation:
    """Comparisons by record.

    Attributes
    ----------
    gross
        Sum of the counts of all records.
    average
        Mean over the records in which the figure is defined; None if there is none.
    intervals
        95 % of each gross figure by bootstrap over records; None where there is none.
    """

    records: Mapping[str, Comparison]
    gross: Comparison
    average: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float] | None]

    @classmethod
    def of(
        cls,
        records: Mapping[str, Comparison],
        *,
        repeats: int = 2000,
        level: float = 0.95,
        seed: int = 0,
    ) -> "Evaluation":
        """Evaluate comparisons by record.

        Parameters
        ----------
        records
            Name of each record -> its comparison.
        repeats
            Number of bootstrap resamples.
        level
            Share of the resamples inside an interval, between 0 and 1.
        seed
            Seed of the bootstrap.
        """
        comparisons = list(records.values())
        return cls(
            dict(records),
            sum(comparisons, start=Comparison.empty()),
            {name: _average(comparisons, statistic) for name, statistic in STATISTICS.items()},
            {
                name: bootstrap(comparisons, statistic, repeats=repeats, level=level, seed=seed)
                for name, statistic in STATISTICS.items()
            },
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without numpy types and NaN."""
        return {
            "records": {
                name: comparison_dict(comparison) for name, comparison in self.records.items()
            },
            "gross": comparison_dict(self.gross),
            "average": dict(self.average),
            "intervals": {
                name: None if pair is None else list(pair) for name, pair in self.intervals.items()
            },
        }


def comparison_dict(comparison: Comparison) -> dict[str, Any]:
    """Return counts, figures and matrix of a comparison; figures are fractions of 1."""
    return {
        "hours": comparison.hours,
        "qrs_tp": comparison.qrs_tp,
        "qrs_fn": comparison.qrs_fn,
        "qrs_fp": comparison.qrs_fp,
        "veb_tp": comparison.veb_tp,
        "veb_fn": comparison.veb_fn,
        "veb_fp": comparison.veb_fp,
        **{name: comparison.value(statistic) for name, statistic in STATISTICS.items()},
        "matrix": {"labels": list(LABELS), "counts": comparison.matrix.tolist()},
    }


def matrix_text(comparison: Comparison) -> str:
    """Format the counts like `bxb -S`: a row per reference label, a column per test label.

    The four cells in which neither side has a beat are left blank.
    """
    width = max(4, len(str(comparison.matrix.max())))
    lines = [
        " " * 15 + "Algorithm",
        "    " + "".join(f" {label.lower():>{width}}" for label in LABELS),
    ]
    lines.append("   " + "_" * ((width + 1) * len(LABELS) + 1))
    for label, row in zip(LABELS, comparison.matrix.tolist(), strict=True):
        counted = row if label not in "OX" else row[: LABELS.index("O")]
        lines.append(f" {label} |" + "".join(f" {count:>{width}}" for count in counted))
    return "\n".join(lines) + "\n"


def _average(comparisons: list[Comparison], statistic: Statistic) -> float | None:
    figures = [
        figure for comparison in comparisons if (figure := comparison.value(statistic)) is not None
    ]
    return sum(figures) / len(figures) if figures else None
