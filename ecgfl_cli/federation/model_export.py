"""Select the models that a home may export: those a site received, or those a coordinator made."""

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.identity.signing_keys import (
    RESTORE,
    coordinator_registry,
)
from ecgfl_cli.federation.coordinator.runs.global_models import GlobalModels
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.site_models import ROOTS_FIX, site_registry
from ecgfl_cli.models.trust import read_roots
from ecgfl_cli.site.home import Home


def export_registry(home: Home) -> Registry:
    """Return the registry with the federation's models of a home.

    Raises
    ------
    UsageError
        The home is neither a site's nor a coordinator's.
    """
    coordinator = CoordinatorHome(home.coordinator)
    if home.settings.is_file():
        return site_registry(home)
    if not coordinator.federation.is_file():
        raise UsageError(
            f"{home.root} is the home of neither a site nor a coordinator",
            "Name the right folder with --home DIR or ECGFL_HOME",
        )
    return coordinator_registry(coordinator)


def export_roots(home: Home) -> list[str]:
    """Return the root metadata that a home's model files carry."""
    path = home.roots if home.settings.is_file() else CoordinatorHome(home.coordinator).roots
    return read_roots(path, ROOTS_FIX if home.settings.is_file() else RESTORE)


def require_exportable(home: Home, version: str) -> None:
    """Check that a home may export a version.

    Raises
    ------
    UsageError
        The version is a coordinator's model that was rolled back or that most sites rejected.
    """
    if home.settings.is_file():
        return
    registry = export_registry(home)
    if version not in registry.versions():
        return
    models = GlobalModels(CoordinatorHome(home.coordinator), registry)
    if (problem := models.problem(registry.entry(version))) is not None:
        raise UsageError(
            f"model {version} is not exported: {problem}",
            "`ecgfl coordinator model list` shows the usable models",
        )
