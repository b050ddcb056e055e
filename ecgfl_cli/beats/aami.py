"""The five beat classes of ANSI/AAMI EC57 and the WFDB symbols that belong to each.

Source: ANSI/AAMI EC57:1998 as applied to the MIT-BIH Arrhythmia Database by de Chazal, O'Dwyer and
Reilly (IEEE Trans Biomed Eng 51, 2004); symbols from `ecgcodes.h` of the WFDB library. Over all 48
records of that database this gives N 90,631, S 2,781, V 7,236, F 803 and Q 8,043. PhysioNet's `bxb`
counts the escape beats e, j and n as S instead: see `ecgfl_cli.evaluation`.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class BeatClass(IntEnum):
    """The five classes.

    N: normal, bundle branch block or escape; S: supraventricular ectopic; V: ventricular ectopic;
    F: fusion of V and N; Q: paced or unclassifiable.
    """

    N = 0
    S = 1
    V = 2
    F = 3
    Q = 4


class NoClass(IntEnum):
    """Codes used in place of a `BeatClass`. They are stored in the files of beats."""

    UNLABELLED = -1
    """A beat without a label."""

    NOT_A_BEAT = -2
    """A detection or an annotation that is not a beat: noise, a T wave, a change of rhythm."""


SYMBOLS: dict[BeatClass, str] = {
    BeatClass.N: "NLRBejn",
    BeatClass.S: "AaJS",
    BeatClass.V: "VEr",
    BeatClass.F: "F",
    BeatClass.Q: "/fQ?",
}
"""Symbols of each class, one character each."""

_CLASS_OF = {symbol: beat_class for beat_class, symbols in SYMBOLS.items() for symbol in symbols}


def classify(symbol: str) -> BeatClass | None:
    """Return the class of a WFDB annotation symbol; None if it is not a beat ("+", "~", "!")."""
    return _CLASS_OF.get(symbol)


def classify_all(symbols: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int8]:
    """Return the class of each of n symbols, shape (n,), int8: `BeatClass` or NOT_A_BEAT."""
    values, index = np.unique(np.asarray(symbols, dtype=np.str_), return_inverse=True)
    classes = np.asarray(
        [_CLASS_OF.get(str(value), NoClass.NOT_A_BEAT) for value in values], dtype=np.int8
    )
    return classes[index]
