"""Compare two models, or two sets of annotations, on the same records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

from ecgfl_cli.evaluation.intervals import Interval, paired_bootstrap
from ecgfl_cli.evaluation.report import STATISTICS, Evaluation


@dataclass(frozen=True)
class PairedEvaluation:
    """How `first` differs from `second`, record by record and gross.

    Attributes
    ----------
    differences
        Gross figure of first - second by the names of `STATISTICS`; None where either is undefined.
    intervals
        95 % of each difference by bootstrap over records, both sides in the same resample; None
        where there is none.
    fewer, more, equal
        Records in which first makes fewer, more or as many VEB errors (missed and false ones
        together). Errors are compared instead of F1, which is unreliable for a record with two VEB
        and undefined for a record without any.
    sign_test
        P-value of the exact two-sided sign test on fewer against more; None if all records tie.
    """

    first: Evaluation
    second: Evaluation
    differences: Mapping[str, float | None]
    intervals: Mapping[str, Interval | None]
    fewer: int
    more: int
    equal: int
    sign_test: float | None

    @classmethod
    def of(
        cls,
        first: Evaluation,
        second: Evaluation,
        *,
        repeats: int = 2000,
        level: float = 0.95,
        seed: int = 0,
    ) -> "PairedEvaluation":
        """Compare two evaluations of the same records.

        Raises
        ------
        ValueError
            The evaluations do not have the same records in the same order.
        """
        if list(first.records) != list(second.records):
            raise ValueError(
                f"pairs need the same records on either side, got {list(first.records)} and "
                f"{list(second.records)}"
            )
        ours, theirs = list(first.records.values()), list(second.records.values())
        changes = [
            mine.veb_errors - other.veb_errors for mine, other in zip(ours, theirs, strict=True)
        ]
        fewer, more = sum(change < 0 for change in changes), sum(change > 0 for change in changes)
        return cls(
            first,
            second,
            {
                name: _difference(first.gross.value(statistic), second.gross.value(statistic))
                for name, statistic in STATISTICS.items()
            },
            {
                name: paired_bootstrap(
                    ours, theirs, statistic, repeats=repeats, level=level, seed=seed
                )
                for name, statistic in STATISTICS.items()
            },
            fewer,
            more,
            len(changes) - fewer - more,
            _sign_test(fewer, more),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without the two evaluations themselves."""
        return {
            "differences": dict(self.differences),
            "intervals": {
                name: None if pair is None else list(pair) for name, pair in self.intervals.items()
            },
            "veb_errors": {
                "fewer": self.fewer,
                "more": self.more,
                "equal": self.equal,
                "sign_test": self.sign_test,
            },
        }


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def _sign_test(fewer: int, more: int) -> float | None:
    """Return the p-value of the sign test; records that tie are left out.

    Source: Conover, Practical Nonparametric Statistics (1999), section 3.4.
    """
    if not fewer + more:
        return None
    return float(binomtest(fewer, fewer + more).pvalue)
