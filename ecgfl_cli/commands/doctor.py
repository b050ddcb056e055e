"""`ecgfl doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.console import console_of
from ecgfl_cli.doctor.checks import check_all
from ecgfl_cli.doctor.server_checks import check_server
from ecgfl_cli.errors import ExitCode
from ecgfl_cli.federation.connection.address import check_address


def command(
    context: typer.Context,
    server: Annotated[
        str | None,
        typer.Option(
            "--server", help="Also check the connection to this coordinator.", metavar="HOST:PORT"
        ),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", help="CA certificate, instead of the one in federation.json."),
    ] = None,
) -> None:
    """Check the home of a site or a coordinator without changing it.

    Exit code 3 if something is wrong.
    """
    console = console_of(context, "doctor")
    home = console.home
    if server is not None:
        check_address(server, insecure=False)
    checks = check_all(home, is_site=server is not None)
    if server is not None:
        checks += check_server(home, server, ca)
    console.table(
        f"{home.root}",
        ("check ", "state ", "problem ", "how to fix "),
        [(check.name, check.state, check.problem, check.fix or None) for check in checks],
    )
    code = ExitCode.INPUT if any(check.problem for check in checks) else ExitCode.DONE
    console.result(code, checks=[vars(check) for check in checks])
    raise typer.Exit(code)
