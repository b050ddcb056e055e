"""The annotations that are compared, and the class under which each is counted."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from ecgfl_adapters.recording import BeatLabel
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import SYMBOLS, BeatClass


class MatrixCode(IntEnum):
    """Row or column of the comparison under which an annotation is counted."""

    NOT_COUNTED = -1
    """Before the first or after the last annotation."""

    N = BeatClass.N
    S = BeatClass.S
    V = BeatClass.V
    F = BeatClass.F
    Q = BeatClass.Q

    NO_BEAT = 5
    """The other list has a beat here; printed as O."""

    SHUT_DOWN = 6
    """No beat, because the analysis was shut down; printed as X."""


LABELS = "NSVFQOX"
"""Labels of the rows and columns, in the order of `MatrixCode`."""

_CODE_OF = {
    symbol: int(beat_class) for beat_class, symbols in SYMBOLS.items() for symbol in symbols
}
# bxb and the AAMI classes differ here. It moves beats between rows N and S only; no QRS or VEB
# figure depends on it.
_CODE_OF.update(dict.fromkeys("ejn", int(BeatClass.S)))
# WFDB's table of beats holds the flutter wave, which bxb then counts as "no beat": it can use up a
# detection near it.
_CODE_OF["!"] = int(MatrixCode.NO_BEAT)


def code_of(symbol: str) -> int | None:
    """Return the `MatrixCode` under which bxb counts a symbol; None if it is not a beat."""
    return _CODE_OF.get(symbol)


@dataclass(frozen=True)
class BeatAnnotations:
    """Annotations of one recording in order of time: beats and the episodes "[", "]" and "~".

    Attributes
    ----------
    samples
        Shape (n,), int64, not decreasing; otherwise ValueError.
    symbols
        One WFDB symbol per sample.
    subtypes
        Shape (n,), the WFDB subtype of each annotation; None if no annotation has one. It only
        matters for "~": if bits 4 and 5 are set, no signal is readable from there on.
    """

    samples: NDArray[np.int64]
    symbols: tuple[str, ...]
    subtypes: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Check the shapes and the order."""
        if self.samples.shape != (len(self.symbols),):
            raise ValueError(
                f"{len(self.symbols)} symbols need as many samples, got an array of shape "
                f"{self.samples.shape}"
            )
        if self.subtypes is not None and self.subtypes.shape != self.samples.shape:
            raise ValueError(
                f"{len(self.symbols)} symbols need as many subtypes, got an array of shape "
                f"{self.subtypes.shape}"
            )
        if np.any(np.diff(self.samples) < 0):
            place = int(np.argmax(np.diff(self.samples) < 0))
            raise ValueError(
                f"sample {self.samples[place + 1]} follows {self.samples[place]}: annotations must "
                "be in order of time"
            )

    @classmethod
    def from_labels(cls, labels: Iterable[BeatLabel]) -> Self:
        """Take the labels of a `Recording`; they are put in order of time.

        Labels have no subtypes, so what bxb counts in column or row X is counted in O here. No
        figure differs, because each adds the two.
        """
        ordered = sorted(labels, key=lambda label: label.sample)
        return cls(
            np.asarray([label.sample for label in ordered], dtype=np.int64),
            tuple(label.symbol for label in ordered),
        )
