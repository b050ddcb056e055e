"""Record verdicts of sites and rollbacks of models, and select the models that a run may use."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ecgfl_cli.errors import ModelRejected, UsageError
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.identity.enrolment import enrolled_sites
from ecgfl_cli.federation.messages import REJECTIONS
from ecgfl_cli.models.entries import Entry
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.verdicts import VerdictCode

SITES = "sites"
"""Field of an entry's acceptance: the verdict code of each site."""

ROLLED_BACK = "rolled_back"
"""Field of an entry's acceptance: when the model was rolled back."""

VERDICT_IN_WORDS: Mapping[VerdictCode, str] = {
    "not-worse": "accepted",
    "untested": "accepted untested",
    "below-margin": "rejected: F1 lower by more than its margin",
    "interval-below-zero": "rejected: F1 lower with 95 % confidence",
    "unusable": "refused: a model that it does not accept",
}
"""Text for each verdict code."""


@dataclass(frozen=True)
class Standing:
    """The verdicts on a model, and whether it was rolled back.

    Attributes
    ----------
    verdicts
        Verdict code by site, for enrolled sites that sent one.
    rolled_back
        When the model was rolled back, in ISO 8601, UTC; None if it was not.
    """

    verdicts: Mapping[str, VerdictCode]
    rolled_back: str | None = None

    @property
    def accepted(self) -> list[str]:
        """Names of the sites that accepted the model."""
        return sorted(site for site, code in self.verdicts.items() if code not in REJECTIONS)

    @property
    def rejected(self) -> list[str]:
        """Names of the sites that rejected the model."""
        return sorted(site for site, code in self.verdicts.items() if code in REJECTIONS)

    @property
    def is_rejected(self) -> bool:
        """Whether most of the sites that sent a verdict rejected the model."""
        return len(self.rejected) > len(self.accepted)

    @property
    def problem(self) -> str | None:
        """Why no run may start from the model, and no site may receive it; None if they may."""
        if self.rolled_back is not None:
            return "it was rolled back"
        if self.is_rejected:
            return f"most sites rejected it ({', '.join(self.rejected)})"
        return None

    def in_words(self) -> str:
        """Return the verdicts as one line."""
        parts = [f"accepted by {', '.join(self.accepted)}"] if self.accepted else []
        parts += [f"rejected by {', '.join(self.rejected)}"] if self.rejected else []
        return "; ".join(parts) or "no verdict from any site yet"


class GlobalModels:
    """Verdicts and rollbacks of the models in a coordinator's registry.

    Parameters
    ----------
    home
        Home of the coordinator.
    registry
        Its registry.
    """

    def __init__(self, home: CoordinatorHome, registry: Registry) -> None:
        self._home = home
        self.registry = registry

    def require_whole(self) -> None:
        """Check that every manifest can be read. A new model could otherwise reuse a number.

        Raises
        ------
        ModelRejected
            A manifest is damaged.
        """
        for version in self.registry.versions():
            try:
                self.registry.entry(version)
            except (ModelRejected, UsageError) as error:
                raise ModelRejected(
                    f"{self._home.models / version}: damaged: {error.problem}",
                    "Restore this folder from your backup. Without one, move it out of the models"
                    " folder; the next run then starts from the newest of the other models",
                ) from error

    def standing(self, entry: Entry) -> Standing:
        """Return the verdicts on a version and whether it was rolled back."""
        known = entry.acceptance or {}
        enrolled = {site.name for site in enrolled_sites(self._home)}
        verdicts = {site: code for site, code in known.get(SITES, {}).items() if site in enrolled}
        return Standing(verdicts, known.get(ROLLED_BACK))

    def add_verdicts(self, version: str, verdicts: Mapping[str, VerdictCode]) -> Standing:
        """Store verdicts on a version, by site, and return all of them."""
        entry = self.registry.entry(version)
        known = entry.acceptance or {}
        self._write(entry, {**known, SITES: {**known.get(SITES, {}), **verdicts}})
        return self.standing(self.registry.entry(version))

    def withdraw(self, versions: Iterable[str]) -> None:
        """Mark versions as rolled back."""
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        for version in versions:
            entry = self.registry.entry(version)
            self._write(entry, {ROLLED_BACK: moment, **(entry.acceptance or {})})

    def _write(self, entry: Entry, known: dict[str, object]) -> None:
        version = entry.manifest.version
        self.registry.judged(version, {**known, "accepted": True})
        standing = self.standing(self.registry.entry(version))
        self.registry.judged(version, {**known, "accepted": standing.problem is None})

    def problem(self, entry: Entry, entries: Sequence[Entry] | None = None) -> str | None:
        """Return why no run may start from a version; None if a run may.

        Sites test only the final model of a run, so its verdicts and rollback also apply to the
        models of the other rounds. For an unfinished run, those of the model that it started from
        apply.

        Parameters
        ----------
        entry
            The version.
        entries
            All entries of the registry, if the caller has already read them. Reading them takes
            time, because each signature is checked.
        """
        if (problem := self.standing(entry).problem) is not None:
            return problem
        entries = self.registry.entries() if entries is None else entries
        same_run = [other for other in entries if other.manifest.run == entry.manifest.run]
        first, last = same_run[0].manifest, same_run[-1].manifest
        decisive = last.version if last.is_final else first.parent
        problem = next(
            (
                self.standing(other).problem
                for other in entries
                if other.manifest.version == decisive
            ),
            None,
        )
        if problem is None:
            return None
        if last.is_final:
            return f"the final model of its run, {decisive}: {problem}"
        return f"the model that its run started from, {decisive}: {problem}"

    def new_run(self, prefix: str) -> str:
        """Return a unique name for a run: prefix and time, and a number if that name is taken."""
        name = prefix + datetime.now(UTC).strftime("%Y%m%dt%H%M%Sz")
        taken = {entry.manifest.run for entry in self.registry.entries()}
        candidates = (name, *(f"{name}-{number}" for number in range(2, 1000)))
        return next(candidate for candidate in candidates if candidate not in taken)

    def newest(
        self, architecture: str, finals_only: bool = False
    ) -> tuple[Entry | None, dict[str, str]]:
        """Return the newest version that a run may start from.

        Parameters
        ----------
        architecture
            Name of the network.
        finals_only
            Whether only the final models of runs count.

        Returns
        -------
        tuple
            The version, None if there is none; and the reason by version for each newer final
            model, which may not be used.
        """
        passed_over: dict[str, str] = {}
        entries = self.registry.entries()
        for entry in reversed(entries):
            manifest = entry.manifest
            if manifest.architecture != architecture or (finals_only and not manifest.is_final):
                continue
            problem = self.problem(entry, entries)
            if problem is None:
                return entry, passed_over
            if manifest.is_final:
                passed_over[manifest.version] = problem
        return None, passed_over
