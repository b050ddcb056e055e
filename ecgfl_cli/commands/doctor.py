"""`ecgfl doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.console import console_of


def command(
    context: typer.Context,
    server: Annotated[
        str | None, typer.Option("--server", help="The coordinator, to check the way to it, too.", metavar="HOST:PORT")
    ] = None,
    ca: Annotated[Path | None, typer.Option("--ca", help="CA certificate, instead of the one in federation.json.")] = None,
) -> None:
    """Check all that must be right before the first night; changes nothing. Exit code 3 when something is not right."""
    from ecgfl_cli.doctor.data_checks import check_data
    from ecgfl_cli.doctor.home_checks import check_home
    from ecgfl_cli.doctor.model_checks import check_models
    from ecgfl_cli.errors import ExitCode
    from ecgfl_cli.federation.connection.address import check_address

    console = console_of(context, "doctor")
    home = console.home
    if server is not None:
        check_address(server, insecure=False)
    home.require_site()
    checks = [*check_home(home), *check_data(home), *check_models(home)]
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
