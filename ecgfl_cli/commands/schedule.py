"""`ecgfl schedule cron|systemd|windows`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.commands.lazy_group import HelpGroup
from ecgfl_cli.commands.options import duration
from ecgfl_cli.console import Console, console_of
from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.connection.address import check_address
from ecgfl_cli.federation.connection.proxy import proxy_for
from ecgfl_cli.federation.site.policy_checks import check_hours, check_policy
from ecgfl_cli.schedule.crontab import cron_line
from ecgfl_cli.schedule.crontab import install as install_line
from ecgfl_cli.schedule.nightly import Nightly, time_of_day
from ecgfl_cli.schedule.systemd import RANDOM_DELAY_MINUTES, units
from ecgfl_cli.schedule.systemd import write as write_units
from ecgfl_cli.schedule.windows import schtasks_line
from ecgfl_cli.site.settings import load_settings

app = typer.Typer(
    cls=HelpGroup, help="Schedule a nightly join on this machine.", no_args_is_help=True
)

Server = Annotated[
    str, typer.Option("--server", help="Address of the coordinator.", metavar="HOST:PORT")
]
At = Annotated[str, typer.Option("--at", help="Start time, in local time.", metavar="HH:MM")]
Authority = Annotated[
    Path | None, typer.Option("--ca", help="CA certificate, instead of the one in federation.json.")
]
MaxWait = Annotated[
    str,
    typer.Option(
        "--max-wait", help="How long to wait for the coordinator and for a run.", metavar="DURATION"
    ),
]
MaxTime = Annotated[
    str, typer.Option("--max-time", help="Exit after this time in any case.", metavar="DURATION")
]


@app.command()
def cron(
    context: typer.Context,
    server: Server,
    at: At = "22:00",
    ca: Authority = None,
    max_wait: MaxWait = "2h",
    max_time: MaxTime = "8h",
    install: Annotated[
        bool,
        typer.Option(
            "--install", help="Install it in this user's crontab; it replaces an earlier one."
        ),
    ] = False,
) -> None:
    """Print a crontab line."""
    console = console_of(context, "schedule-cron")
    nightly = _nightly(console, server, at, ca, max_wait, max_time, delay=0)
    line = cron_line(nightly)
    changed = install_line(nightly) if install else False
    console.text(line)
    if install:
        console.say(
            "It is in this user's crontab." if changed else "It was in this user's crontab already."
        )
    else:
        console.say(
            "Add it with `crontab -e` as the user whose home this is, or run this again with "
            "--install."
        )
    if nightly.hides_password:
        console.problem(
            "The proxy's address contains a password and was left out, because cron would write it "
            "to the system's log. Add it with `crontab -e`, on a line above this one: "
            "HTTPS_PROXY=..."
        )
    console.result(line=line, installed=install)


@app.command()
def systemd(
    context: typer.Context,
    server: Server,
    at: At = "22:00",
    ca: Authority = None,
    max_wait: MaxWait = "2h",
    max_time: MaxTime = "8h",
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            help="Write the two files to this folder, usually /etc/systemd/system.",
            metavar="FOLDER",
        ),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--passphrase-file",
            help=(
                "File with the passphrase of an encrypted node key. systemd reads it "
                "(LoadCredential); only root needs access."
            ),
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Print a service and a timer for systemd."""
    console = console_of(context, "schedule-systemd")
    nightly = _nightly(console, server, at, ca, max_wait, max_time, RANDOM_DELAY_MINUTES)
    try:
        user = console.home.root.owner()
    except (NotImplementedError, KeyError) as error:
        raise UsageError(
            f"{console.home.root}: its owner has no name on this machine",
            "Use `ecgfl schedule windows` or cron",
        ) from error
    passphrase = None if passphrase_file is None else passphrase_file.absolute()
    content = units(nightly, user, passphrase)
    if write is None:
        for name, text in content.items():
            console.block(f"# {name}\n{text}")
        console.say("Run this again with --write /etc/systemd/system to install them.")
    else:
        for path in write_units(nightly, user, write, passphrase):
            console.text(f"{path}")
        console.say(
            f"Then: systemctl daemon-reload && systemctl enable --now ecgfl-{nightly.name}.timer"
        )
    if nightly.hides_password:
        console.problem(
            "The proxy's address contains a password and was left out, because all users can read "
            f"units. Add it with `systemctl edit ecgfl-{nightly.name}.service` as "
            "Environment=HTTPS_PROXY=..., and chmod 600 that file"
        )
    console.result(units=content, folder=write)


@app.command()
def windows(
    context: typer.Context,
    server: Server,
    at: At = "22:00",
    ca: Authority = None,
    max_wait: MaxWait = "2h",
    max_time: MaxTime = "8h",
) -> None:
    """Print a command that creates a task in the Windows Task Scheduler."""
    console = console_of(context, "schedule-windows")
    line = schtasks_line(_nightly(console, server, at, ca, max_wait, max_time, delay=0))
    console.text(line)
    console.say("Run it in a command prompt as the user whose home this is.")
    console.result(line=line)


def _nightly(
    console: Console,
    server: str,
    at: str,
    ca: Path | None,
    max_wait: str,
    max_time: str,
    delay: int,
) -> Nightly:
    """Return the nightly join.

    Parameters
    ----------
    delay
        Longest random delay of the start, in minutes.

    Raises
    ------
    UsageError
        The policy does not allow the time.
    """
    check_address(server, insecure=False)
    home = console.home
    home.require_site()
    hour, minute = time_of_day(at)
    duration(max_wait), duration(max_time)
    settings = load_settings(home.settings)
    check_policy(settings.policy, home.settings)
    check_hours(settings.policy, home.settings, hour, minute, delay, f"--at {at}")
    proxy = proxy_for(server)
    return Nightly(
        name=settings.site.name,
        home=home.root,
        server=server,
        hour=hour,
        minute=minute,
        max_wait=max_wait,
        max_time=max_time,
        ca=None if ca is None else ca.absolute(),
        proxy=None if proxy is None else proxy.url,
    )
