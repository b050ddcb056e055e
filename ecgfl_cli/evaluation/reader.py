"""Read an annotation list as PhysioNet's bxb does.

It has the current beat, the next beat, and the episodes passed so far.

Rules from `app/bxb.c` of the WFDB software package (G. B. Moody; https://github.com/bemoody/wfdb,
as revised 27 April 2020).
"""

from collections import deque

from ecgfl_cli.evaluation.annotations import BeatAnnotations, MatrixCode, code_of

NEVER = 1 << 62
"""Later than any sample: the time of the beat after the last one."""

_UNREADABLE = 0x30


class AnnotationReader:
    """Yields the beats of a list: the current one and the next one.

    The current beat is `time` and `code`, the next one `next_time` and `next_code`. A beat that is
    not counted precedes the first one, at sample 0, and another follows the last one, at NEVER.

    Parameters
    ----------
    window
        Match window in samples.
    is_reference
        Whether this is the reference; bxb ends its last shutdown differently.
    """

    def __init__(self, annotations: BeatAnnotations, window: int, *, is_reference: bool) -> None:
        subtypes = (
            [0] * len(annotations.symbols)
            if annotations.subtypes is None
            else annotations.subtypes.tolist()
        )
        self._items = list(
            zip(annotations.samples.tolist(), annotations.symbols, subtypes, strict=True)
        )
        self._place = 0
        self._window = window
        self._is_reference = is_reference
        # bxb remembers two episodes: with three between two beats, it forgets the first.
        self._fibrillation: deque[tuple[int, int]] = deque(maxlen=2)
        self._shut_down: deque[tuple[int, int]] = deque(maxlen=2)
        self.time = 0
        self.code: int = MatrixCode.NOT_COUNTED
        self.next_time = 0
        self.next_code: int = MatrixCode.NOT_COUNTED
        self.advance()

    def advance(self) -> None:
        """Move to the next beat and read the one after it."""
        self.time, self.code = self.next_time, self.next_code
        self.next_time, self.next_code = self._read()

    def in_fibrillation(self, time: int) -> bool:
        """Whether `time` lies in an episode between "[" and "]", both ends included."""
        return any(start <= time <= stop for start, stop in self._fibrillation)

    def absent_at(self, time: int) -> int:
        """Return the code of a missing beat: X during a shutdown, else O."""
        is_shut_down = any(start <= time <= stop for start, stop in self._shut_down)
        return MatrixCode.SHUT_DOWN if is_shut_down else MatrixCode.NO_BEAT

    def _read(self) -> tuple[int, int]:
        while self._place < len(self._items):
            time, symbol, subtype = self._items[self._place]
            self._place += 1
            code = code_of(symbol)
            if code is not None:
                return time, code
            if symbol == "[":
                self._pass_fibrillation(time)
            elif symbol == "~" and subtype & _UNREADABLE == _UNREADABLE:
                self._pass_shut_down(time)
        return NEVER, MatrixCode.NOT_COUNTED

    def _pass_fibrillation(self, start: int) -> None:
        # Whatever stands between "[" and "]" is skipped, beats included.
        while self._place < len(self._items):
            time, symbol, _ = self._items[self._place]
            self._place += 1
            if symbol == "]":
                self._fibrillation.append((start, time))
                return
        # Without a "]" bxb still holds the end of the episode before: only a first episode lasts to
        # the end of the record.
        self._fibrillation.append(
            (start, self._fibrillation[-1][1] if self._fibrillation else NEVER)
        )

    def _pass_shut_down(self, start: int) -> None:
        if self._place == len(self._items):
            # It lasts to the end of the record; for the test, bxb still holds the end of the
            # shutdown before, if there was one.
            lasts = self._is_reference or not self._shut_down
            self._shut_down.append((start, NEVER if lasts else self._shut_down[-1][1]))
            return
        time, symbol, subtype = self._items[self._place]
        if symbol == "~" and subtype & _UNREADABLE != _UNREADABLE:
            self._place += 1
            self._shut_down.append((start, time))
            return
        # A single mark (as in the AHA database) stands somewhere within: the shutdown fills the
        # time from the last beat or fibrillation to this annotation, less the match window at
        # either end.
        fibrillation_end = self._fibrillation[-1][1] if self._fibrillation else -1
        stop = time - self._window
        self._shut_down.append((min(max(self.time, fibrillation_end) + self._window, stop), stop))
