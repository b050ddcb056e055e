"""Whose models a home may hand on: a site's received ones or a coordinator's own."""

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.runs.global_models import GlobalModels
from ecgfl_cli.models.federation_file import load_federation
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.site_models import site_registry
from ecgfl_cli.site.home import Home


def registry_to_hand_out(home: Home) -> Registry:
    """The home's federation models. Raises `UsageError` when it is neither a site's home nor a coordinator's."""
    coordinator = CoordinatorHome(home.coordinator)
    if home.settings.is_file():
        return site_registry(home)
    if not coordinator.federation.is_file():
        raise UsageError(
            f"{home.root} is the home of neither a site nor a coordinator",
            "Name the right folder with --home DIR or ECGFL_HOME",
        )
    return Registry(coordinator.models, load_federation(coordinator.federation).signing_key)


def require_may_be_handed_out(home: Home, version: str) -> None:
    """Raises `UsageError` for a coordinator's model that was rolled back or that most sites rejected."""
    if home.settings.is_file():
        return
    registry = registry_to_hand_out(home)
    models = GlobalModels(CoordinatorHome(home.coordinator), registry)
    if (
        version in registry.versions()
        and (problem := models.problem(registry.entry(version))) is not None
    ):
        raise UsageError(
            f"model {version} is not exported: {problem}",
            "`ecgfl coordinator model list` shows the usable models",
        )
