"""All checks of a home that need no connection: the library call behind `ecgfl doctor`."""

from ecgfl_cli.doctor.check import Check
from ecgfl_cli.doctor.coordinator_checks import check_coordinator
from ecgfl_cli.doctor.data_checks import check_data
from ecgfl_cli.doctor.home_checks import check_home
from ecgfl_cli.doctor.model_checks import check_models
from ecgfl_cli.doctor.settings_checks import check_settings
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.site.home import Home


def check_all(home: Home, *, is_site: bool = False) -> list[Check]:
    """Check the home of a site, of a coordinator, or of both. Changes nothing.

    Parameters
    ----------
    home
        The home.
    is_site
        Check it as a site's home even if it has no site.toml and a coordinator.

    Raises
    ------
    UsageError
        It is the home of neither.
    """
    coordinator = CoordinatorHome(home.coordinator)
    checks = list(check_coordinator(coordinator)) if coordinator.federation.is_file() else []
    if is_site or not checks or home.settings.is_file():
        home.require_site()
        checks += [*check_home(home), *check_settings(home), *check_data(home), *check_models(home)]
    return checks
