"""Beat-by-beat comparison as ANSI/AAMI EC57 requires it, by the rules of PhysioNet's bxb.

EC57 defines what is counted. How close beats are paired is defined by bxb, which published figures
come from. The rules here are those of `app/bxb.c` of the WFDB software package (G. B. Moody;
https://github.com/bemoody/wfdb, as revised 27 April 2020, which includes the 2002 change for beats
closer together than twice the match window). Times are rounded as in its `strtim`. In short:

- Two beats, one of each list, may be a pair if their distance is at most the match window.
- The earlier of the two current beats is paired with the other one, unless the other is nearer to
  the next beat of the earlier one's list and that next beat has no better partner. A beat without a
  partner is a missed beat (column o) or an extra beat (row O).
- The learning period is skipped. A beat at its end still counts if its partner is just before it.
- The comparison ends when both lists have passed the end of the record.
- Between "[" and "]" (fibrillation, flutter) beats of the list that marks them are skipped, and
  detections during the reference's episodes are not counted at all. Where no signal is readable, O
  becomes X.
"""

import math

import numpy as np

from ecgfl_cli.evaluation.annotations import LABELS, BeatAnnotations, MatrixCode
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.reader import AnnotationReader

LEARNING_PERIOD_S = 300.0
MATCH_WINDOW_S = 0.150


class _Tally:
    def __init__(self) -> None:
        self.matrix = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)

    def add(self, reference: int, test: int) -> None:
        # Neither side is a beat when a flutter wave that bxb reads as one finds no partner.
        if (
            MatrixCode.NOT_COUNTED not in (reference, test)
            and min(reference, test) < MatrixCode.NO_BEAT
        ):
            self.matrix[reference, test] += 1


def compare(
    reference: BeatAnnotations,
    test: BeatAnnotations,
    fs: float,
    length: int,
    *,
    start_s: float = LEARNING_PERIOD_S,
    window_s: float = MATCH_WINDOW_S,
) -> Comparison:
    """Count how the beats of `test` agree with those of `reference`.

    Parameters
    ----------
    fs
        Sampling rate in hertz of both lists.
    length
        Samples in the record.
    start_s
        Learning period in seconds.
    window_s
        Farthest distance of a pair in seconds, rounded to whole samples, half up.

    Raises
    ------
    ValueError
        If the record is not longer than the learning period.
    """
    evaluated = evaluated_samples(fs, length, start_s)
    start, window = length - evaluated, _samples(window_s, fs)
    tally = _Tally()
    reference_reader, test_reader = (
        AnnotationReader(reference, window, is_reference=True),
        AnnotationReader(test, window, is_reference=False),
    )
    _pass_learning_period(reference_reader, test_reader, start, window, tally)
    while reference_reader.time <= length or test_reader.time <= length:
        if test_reader.time < reference_reader.time:
            _take_test_beat(reference_reader, test_reader, window, tally)
        else:
            _take_reference_beat(reference_reader, test_reader, window, tally)
    return Comparison(tally.matrix, evaluated / fs)


def evaluated_samples(fs: float, length: int, start_s: float = LEARNING_PERIOD_S) -> int:
    """Return how many of `length` samples follow the learning period.

    Raises
    ------
    ValueError
        If there are none.
    """
    start = _samples(start_s, fs)
    if length <= start:
        raise ValueError(
            f"a record of {length / fs:.1f} s is not longer than the learning period of "
            f"{start_s:g} s"
        )
    return length - start


def _samples(seconds: float, fs: float) -> int:
    return math.floor(seconds * fs + 0.5)


def _pass_learning_period(
    reference_reader: AnnotationReader,
    test_reader: AnnotationReader,
    start: int,
    window: int,
    tally: _Tally,
) -> None:
    while reference_reader.time < start:
        reference_reader.advance()
    while test_reader.next_time < start:
        test_reader.advance()
    # The readers are now at the first reference beat to count and the last detection before it.
    distance = reference_reader.time - test_reader.time
    if distance <= window and distance < abs(reference_reader.time - test_reader.next_time):
        tally.add(reference_reader.code, test_reader.code)
        reference_reader.advance()
        test_reader.advance()
        return
    test_reader.advance()
    # The partner of a detection right after the start may lie in the learning period: it is not
    # held against the detector.
    if test_reader.time - start <= window and abs(
        reference_reader.time - test_reader.next_time
    ) < abs(reference_reader.time - test_reader.time):
        test_reader.advance()


def _take_test_beat(
    reference_reader: AnnotationReader, test_reader: AnnotationReader, window: int, tally: _Tally
) -> None:
    if _are_paired(test_reader, reference_reader, window):
        tally.add(reference_reader.code, test_reader.code)
        reference_reader.advance()
    elif not reference_reader.in_fibrillation(test_reader.time):
        tally.add(reference_reader.absent_at(test_reader.time), test_reader.code)
    test_reader.advance()


def _take_reference_beat(
    reference_reader: AnnotationReader, test_reader: AnnotationReader, window: int, tally: _Tally
) -> None:
    if _are_paired(reference_reader, test_reader, window):
        tally.add(reference_reader.code, test_reader.code)
        test_reader.advance()
    else:
        tally.add(reference_reader.code, test_reader.absent_at(reference_reader.time))
    reference_reader.advance()


def _are_paired(earlier: AnnotationReader, later: AnnotationReader, window: int) -> bool:
    distance = later.time - earlier.time
    rival = abs(later.time - earlier.next_time)
    return distance <= window and (
        distance < rival or abs(later.next_time - earlier.next_time) < rival
    )
