"""Remove the figures that the policy of a site withholds."""

from dataclasses import replace
from typing import Self

from ecgfl_cli.federation.release_steps.step import ReleaseStep, RunSettings
from ecgfl_cli.site.outbox import Release
from ecgfl_cli.site.policy import Policy


class WithholdFigures(ReleaseStep):
    """Removes the figures named in `Release.withheld`.

    There is no coordinator side, because these figures are optional in a reply.
    """

    name = "withhold-figures"

    @classmethod
    def for_site(cls, policy: Policy) -> Self:  # noqa: ARG003
        """Return the step; every site applies it."""
        return cls()

    @classmethod
    def for_run(cls, settings: RunSettings) -> None:
        """Return None: there is no coordinator side."""

    def shape(self, release: Release) -> Release:
        """Return a release without the withheld figures."""
        figures = {
            name: value for name, value in release.figures.items() if name not in release.withheld
        }
        return replace(release, figures=figures, withheld=())
