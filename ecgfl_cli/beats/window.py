"""What a model wants to see of a beat."""

from dataclasses import dataclass

CUT_VERSION = 5
"""Counts up whenever the same recording and window would give other beats than before."""


@dataclass(frozen=True)
class Window:
    """A stretch of signal around an R peak.

    fs : sampling rate in hertz that the model works at.
    before, after : samples in front of the R peak, and behind it including the peak's own.
    """

    fs: float
    before: int
    after: int

    @property
    def length(self) -> int:
        return self.before + self.after

    @property
    def key(self) -> str:
        """A name for everything cut with this window; changes whenever the cut changes."""
        return f"cut{CUT_VERSION}-{self.fs:g}hz-{self.before}-{self.after}"
