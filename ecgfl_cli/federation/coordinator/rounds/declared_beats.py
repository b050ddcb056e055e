"""Check the number of beats that a site declares."""

from collections.abc import Mapping

LARGEST_GROWTH = 2.0
"""Largest factor by which a site's beats may grow within a run. A night's recordings may be added,
but not those of another hospital."""


class DeclaredBeats:
    """Limits the beats that a site may report.

    One limit is set by the plan, another is a multiple of the number that the site reported first
    in the run.

    Parameters
    ----------
    kind
        Kind of the beats, for messages.
    limits
        Largest number of beats, by site.
    default
        Largest number for the other sites.
    first
        The number that each site reported first, if the run is resumed.
    """

    def __init__(
        self, kind: str, limits: Mapping[str, int], default: int, first: Mapping[str, int]
    ) -> None:
        self._kind = kind
        self._limits = limits
        self._default = default
        self._first = dict(first)

    def check(self, site: str, beats: int) -> None:
        """Raise `ValueError` if a number is above a limit; the error names the limit."""
        limit = self._limits.get(site, self._default)
        if beats > limit:
            raise ValueError(f"{beats} {self._kind} beats, declared were at most {limit}")
        first = self._first.get(site, beats)
        if beats > LARGEST_GROWTH * first:
            raise ValueError(
                f"{beats} {self._kind} beats, more than {LARGEST_GROWTH:g} times the {first} it "
                "began the run with"
            )

    def accept(self, site: str, beats: int) -> None:
        """Remember the number of an accepted reply.

        A number of 0 is not remembered, because the site may get its first beats later.
        """
        if beats:
            self._first.setdefault(site, beats)
