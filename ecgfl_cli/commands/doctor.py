"""`ecgfl doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.console import console_of


def command(
    context: typer.Context,
    server: Annotated[
        str | None,
        typer.Option(
            "--server", help="The coordinator, to check the way to it, too.", metavar="HOST:PORT"
        ),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", help="CA certificate, instead of the one in federation.json."),
    ] = None,
) -> None:
    """Check the home of a site or a coordinator. Changes nothing. Exit code 3 when something is wrong."""
    from ecgfl_cli.doctor.check import Check
    from ecgfl_cli.doctor.coordinator_checks import check_coordinator
    from ecgfl_cli.doctor.data_checks import check_data
    from ecgfl_cli.doctor.home_checks import check_home
    from ecgfl_cli.doctor.model_checks import check_models
    from ecgfl_cli.doctor.settings_checks import check_settings
    from ecgfl_cli.errors import ExitCode
    from ecgfl_cli.federation.connection.address import check_address
    from ecgfl_cli.federation.coordinator.home import CoordinatorHome

    console = console_of(context, "doctor")
    home = console.home
    if server is not None:
        check_address(server, insecure=False)
    coordinator = CoordinatorHome(home.coordinator)
    checks: list[Check] = []
    if coordinator.federation.is_file():
        checks += check_coordinator(coordinator)
    if server is not None or not checks or home.settings.is_file():
        home.require_site()
        checks += [*check_home(home), *check_settings(home), *check_data(home), *check_models(home)]
    if server is not None:
        from ecgfl_cli.doctor.server_checks import check_server

        checks += check_server(home, server, ca)
    console.table(
        f"{home.root}",
        ("check ", "state ", "problem ", "how to fix "),
        [(check.name, check.state, check.problem, check.fix or None) for check in checks],
    )
    code = ExitCode.INPUT if any(check.problem for check in checks) else ExitCode.DONE
    console.result(code, checks=[vars(check) for check in checks])
    raise typer.Exit(code)
