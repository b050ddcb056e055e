"""`ecgfl doctor`."""

import typer

from ecgfl_cli.console import console_of


def command(context: typer.Context) -> None:
    """Check all that must be right before the first night. Exit code 3 when something is not."""
    from ecgfl_cli.doctor.data_checks import check_data
    from ecgfl_cli.doctor.home_checks import check_home
    from ecgfl_cli.doctor.model_checks import check_models
    from ecgfl_cli.errors import ExitCode

    console = console_of(context, "doctor")
    home = console.home
    home.require_site()
    checks = [*check_home(home), *check_data(home), *check_models(home)]
    console.table(
        f"{home.root}",
        ("check ", "state ", "problem ", "how to fix "),
        [(check.name, check.state, check.problem, check.fix or None) for check in checks],
    )
    code = ExitCode.INPUT if any(check.problem for check in checks) else ExitCode.DONE
    console.result(code, checks=[vars(check) for check in checks])
    raise typer.Exit(code)
