"""`ecgfl join`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.commands.acceptance import show_verdict
from ecgfl_cli.commands.dry_run import show_dry_run
from ecgfl_cli.commands.options import duration
from ecgfl_cli.console import console_of
from ecgfl_cli.errors import ExitCode, UsageError
from ecgfl_cli.federation.connection.address import check_address
from ecgfl_cli.federation.site.participation import JoinOptions, participate
from ecgfl_cli.federation.site.policy_checks import check_policy
from ecgfl_cli.logs import log_fields
from ecgfl_cli.models.federation_file import ca_certificate, load_federation
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.site.settings import load_settings

USUAL_WAIT = "15m"


def command(
    context: typer.Context,
    server: Annotated[
        str | None,
        typer.Option("--server", help="Address of the coordinator.", metavar="HOST:PORT"),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", help="CA certificate, instead of the one in federation.json."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Take part in one run, then exit.")] = False,
    max_wait: Annotated[
        str | None,
        typer.Option(
            "--max-wait",
            help=(
                "How long to wait for the coordinator and for a run. Default: 15m with --once, "
                "otherwise no limit."
            ),
            metavar="DURATION",
        ),
    ] = None,
    max_time: Annotated[
        str,
        typer.Option("--max-time", help="Exit after this time in any case.", metavar="DURATION"),
    ] = "12h",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Connect without TLS; only to a loopback address.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Train one round here and show what would be sent. Nothing is sent."
        ),
    ] = False,
) -> None:
    """Take part in the federation: train here, send only weights, receive signed models."""
    if dry_run:
        show_dry_run(console_of(context, "join-dry-run"))
        return
    if server is None:
        raise UsageError(
            "Missing option '--server'",
            "Name the coordinator, for instance --server ecg.example.org:8443",
        )
    if max_wait is None and once:
        max_wait = USUAL_WAIT
    console = console_of(context, "join")
    home = console.home
    check_address(server, insecure)
    home.require_site()
    settings, federation = (
        load_settings(home.settings),
        load_federation(home.federation),
    )
    check_policy(settings.policy, home.settings)
    options = JoinOptions(
        server=server,
        ca=None if insecure else ca_certificate(federation, ca),
        once=once,
        max_wait=float("inf") if max_wait is None else duration(max_wait),
        max_time=duration(max_time),
    )
    with exclusive(home.lock), log_fields(source=settings.site.name):
        outcome = participate(home, settings, federation, options)
    if not outcome.participated:
        console.text("No round was offered.")
    else:
        ended = "" if outcome.final else "; the run ended without a final model"
        console.text(f"Took part in {outcome.rounds} rounds{ended}.")
    received = [model for model in (outcome.caught_up, outcome.final) if model is not None]
    codes = [show_verdict(console, model.version, model.verdict) for model in received]
    code = codes[-1] if codes else ExitCode.DONE
    console.result(
        code,
        participated=outcome.participated,
        run=outcome.run,
        rounds=outcome.rounds,
        version=outcome.final and outcome.final.version,
        acceptance=outcome.final and outcome.final.verdict.as_dict(),
        caught_up=outcome.caught_up
        and {
            "version": outcome.caught_up.version,
            "acceptance": outcome.caught_up.verdict.as_dict(),
        },
    )
    raise typer.Exit(code)
