"""Finds numbers that stand for missing samples, such as -32768 and -9999, in every format."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.recording import Remark

ENDS = (-32768.0, 32767.0, 65535.0, -2147483648.0, 2147483647.0)
"""Ends of the range of a converter, as tables contain them."""
LONG_RUN = 10
"""Minimum number of consecutive equal samples for a code. A pacing spike is shorter."""

_ROUND = (-999.0, 999.0, -9999.0, 9999.0, -99999.0, 99999.0, -1000000.0, -200000000.0)
"""Round numbers that programs write for a missing sample."""
_NEAR = 0.05
"""Minimum distance of a round number in a long run from the signal, as a share of the signal's
range. A clipped signal is closer.
"""
_EXACT = 0.5
"""Maximum difference between a round number and the physical value of its sample, in the physical
unit.
"""


class Code(NamedTuple):
    """A number that stands for missing samples.

    Parameters
    ----------
    value : float
        Value of the samples that are missing.
    shown : float
        The number that the program wrote.
    """

    value: float
    shown: float


class MissingCodes:
    """Finds the numbers that stand for missing samples of one channel, block by block.

    A clipped or saturated signal passes through the values beside its limit; a code stands alone.
    Therefore a number is a code only if it is farther from all other samples than these are from
    each other. A round number is also a code if it stays for `LONG_RUN` samples and is beyond the
    others by 5 % of their range.

    Parameters
    ----------
    ends : set of float
        Ends of the range of the converter, in the unit of the samples.
    shortest : int
        Minimum number of consecutive samples at an end: 1 for tables, `LONG_RUN` if a spike may
        reach the end.
    step, baseline : float
        For digital samples, `(sample - baseline) * step` is the physical value, which may also be a
        round number.
    """

    def __init__(
        self,
        ends: Iterable[float] = ENDS,
        *,
        shortest: int = 1,
        step: float = 1.0,
        baseline: float = 0.0,
    ) -> None:
        self._shortest = shortest
        digital = {float(round(number / step + baseline)): number for number in _ROUND}
        # If a step is coarse, several values have the same sample:
        # 999 and 1000 in steps of 5.
        exact = {
            sample: number
            for sample, number in digital.items()
            if abs((sample - baseline) * step - number) < _EXACT
        }
        self._round = exact | {each: each for each in _ROUND}
        self._ends = frozenset(float(end) for end in ends)
        self._low, self._high = np.inf, -np.inf
        self._runs: dict[float, int] = {}

    def add(self, samples: NDArray[np.floating] | NDArray[np.signedinteger]) -> None:
        """Take further samples, shape (n,), NaN for missing ones."""
        rest = samples[np.isfinite(samples)]
        while rest.size:
            low, high = float(rest.min()), float(rest.max())
            number = next(
                (each for each in (low, high) if each in self._ends or each in self._round), None
            )
            if number is None:
                self._low, self._high = min(self._low, low), max(self._high, high)
                return
            self._runs[number] = max(self._runs.get(number, 0), _longest_run(samples == number))
            rest = rest[rest != number]

    def found(self) -> tuple[Code, ...]:
        """Return the codes, ordered by their distance from the signal.

        A number that is not a code belongs to the signal.
        """
        low, high = self._low, self._high
        codes = []
        for number in sorted(self._runs, key=lambda number: max(low - number, number - high)):
            if self._is_code(number, low, high):
                codes.append(Code(number, number if number in self._ends else self._round[number]))
            else:
                low, high = min(low, number), max(high, number)
        return tuple(codes)

    def _is_code(self, number: float, low: float, high: float) -> bool:
        run, is_round = self._runs[number], number not in self._ends
        if low > high:  # no other sample
            return is_round and run >= LONG_RUN
        beyond, reach = max(low - number, number - high), high - low
        if is_round and run >= LONG_RUN and beyond > max(0.0, _NEAR * reach):
            return True
        return beyond > reach > 0 and run >= (1 if is_round else self._shortest)


def missing_remark(channel: str, code: Code) -> Remark:
    """Return the remark on a code. `channel` is a number, because a name may be the patient's."""
    return Remark(
        "missing-samples",
        f"{channel} holds {code.shown:.10g}, far from its other values: read as missing samples",
        "Nothing to do if the recorder writes this number where there is no signal; else export "
        "the file again.",
    )


def _longest_run(places: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], places, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
