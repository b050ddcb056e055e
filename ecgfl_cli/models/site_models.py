"""The models of a site: those that it received, or the starter model if it has none."""

from ecgfl_cli.models.federation_file import load_federation
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.site.home import Home


def site_registry(home: Home) -> Registry:
    """Return the models that a site received, checked with its federation's key.

    Raises
    ------
    UnusableInput
        The site's federation.json is damaged.
    """
    return Registry(
        home.models,
        load_federation(home.federation).signing_key if home.federation.is_file() else None,
    )


def registry_of(home: Home, version: str | None) -> Registry:
    """Return the registry that holds a version: the site's own, or that of the starter model.

    Parameters
    ----------
    home
        The site's home. It need not exist.
    version
        The model's version; None for the current one.

    Raises
    ------
    UnusableInput
        The site's federation.json is damaged.
    """
    site = site_registry(home)
    version = version or site.current()
    starter = starter_registry()
    if version is None or (version not in site.versions() and version in starter.versions()):
        return starter
    return site
