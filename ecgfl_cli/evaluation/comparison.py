"""The result of comparing beats with a reference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.evaluation import statistics
from ecgfl_cli.evaluation.annotations import LABELS


@dataclass(frozen=True, eq=False)
class Comparison:
    """Counts of beat pairs. The sum of several is their gross comparison.

    Ratios are fractions of 1 and None where nothing defines them.

    Attributes
    ----------
    matrix
        Shape (7, 7), int64; rows the reference's N, S, V, F, Q, O, X and columns the test's n, s,
        v, f, q, o, x. [O, o], [O, x], [X, o] and [X, x] are always 0.
    seconds
        Evaluated time.
    """

    matrix: NDArray[np.int64]
    seconds: float

    def __post_init__(self) -> None:
        """Check the shape and type of the matrix, and make it read-only."""
        if self.matrix.shape != (len(LABELS), len(LABELS)) or self.matrix.dtype != np.int64:
            raise ValueError(
                f"a comparison has 7 x 7 counts of int64, got {self.matrix.shape} of "
                f"{self.matrix.dtype}"
            )
        self.matrix.flags.writeable = False

    @classmethod
    def empty(cls) -> "Comparison":
        """Return a comparison without beats, the start of a sum."""
        return cls(np.zeros((len(LABELS), len(LABELS)), dtype=np.int64), 0.0)

    def __add__(self, other: "Comparison") -> "Comparison":
        """Add the counts and the time of two comparisons."""
        return Comparison(self.matrix + other.matrix, self.seconds + other.seconds)

    def __eq__(self, other: object) -> bool:
        """Whether counts and time are equal."""
        return (
            isinstance(other, Comparison)
            and self.seconds == other.seconds
            and np.array_equal(self.matrix, other.matrix)
        )

    def __hash__(self) -> int:
        """Return a hash of counts and time."""
        return hash((self.matrix.tobytes(), self.seconds))

    def count(self, pair: str) -> int:
        """Return one cell by its EC57 name, such as "Vv", "No" or "Xv": reference, then test."""
        return int(self.matrix[LABELS.index(pair[0]), LABELS.index(pair[1].upper())])

    @property
    def hours(self) -> float:
        """Evaluated time in hours."""
        return self.seconds / 3600.0

    @property
    def qrs_tp(self) -> int:
        """Reference beats that were detected."""
        return int(statistics.qrs_tp(self.matrix))

    @property
    def qrs_fn(self) -> int:
        """Reference beats that were missed."""
        return int(statistics.qrs_fn(self.matrix))

    @property
    def qrs_fp(self) -> int:
        """Detections without a reference beat."""
        return int(statistics.qrs_fp(self.matrix))

    @property
    def veb_tp(self) -> int:
        """VEB that were classified as V."""
        return int(statistics.veb_tp(self.matrix))

    @property
    def veb_fn(self) -> int:
        """VEB that were missed or classified otherwise."""
        return int(statistics.veb_fn(self.matrix))

    @property
    def veb_fp(self) -> int:
        """Beats that were wrongly classified as V, fusion and unclassifiable ones left out."""
        return int(statistics.veb_fp(self.matrix))

    @property
    def veb_errors(self) -> int:
        """Missed and false VEB."""
        return self.veb_fn + self.veb_fp

    @property
    def qrs_sensitivity(self) -> float | None:
        """Share of the reference beats that were detected."""
        return self.value(statistics.qrs_sensitivity)

    @property
    def qrs_positive_predictivity(self) -> float | None:
        """Share of the detections that are reference beats."""
        return self.value(statistics.qrs_positive_predictivity)

    @property
    def qrs_f1(self) -> float | None:
        """F1 of the QRS detection."""
        return self.value(statistics.qrs_f1)

    @property
    def veb_sensitivity(self) -> float | None:
        """Share of the VEB that were classified as V."""
        return self.value(statistics.veb_sensitivity)

    @property
    def veb_ppv(self) -> float | None:
        """Share of the beats classified as V that are VEB: +P."""
        return self.value(statistics.veb_ppv)

    @property
    def veb_f1(self) -> float | None:
        """F1 of the VEB classification."""
        return self.value(statistics.veb_f1)

    @property
    def veb_false_positive_rate(self) -> float | None:
        """False positives per beat that is not a VEB."""
        return self.value(statistics.veb_false_positive_rate)

    @property
    def veb_false_positives_per_hour(self) -> float | None:
        """False positives per hour."""
        return self.value(statistics.veb_false_positives_per_hour)

    def value(self, statistic: statistics.Statistic) -> float | None:
        """Return a statistic of this comparison; None if it is undefined."""
        figure = float(statistic(self.matrix, np.asarray(self.seconds)))
        return None if np.isnan(figure) else figure
