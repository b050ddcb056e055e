"""The window of a beat that a model sees."""

from dataclasses import dataclass

CUT_VERSION = 5
"""Version of the cut. Increase it when the same recording and window give other beats than
before."""


@dataclass(frozen=True)
class Window:
    """A stretch of signal around an R peak.

    Attributes
    ----------
    fs : float
        Sampling rate of the model in hertz.
    before, after : int
        Samples before the R peak, and from the R peak on.
    """

    fs: float
    before: int
    after: int

    @property
    def length(self) -> int:
        """Number of samples."""
        return self.before + self.after

    @property
    def key(self) -> str:
        """Name of the folder of beats cut with this window. It changes with the cut."""
        return f"cut{CUT_VERSION}-{self.fs:g}hz-{self.before}-{self.after}"
