"""`ecgfl audit show|verify`."""

import typer

from ecgfl_cli.console import console_of

app = typer.Typer(help="What this site did and sent.", no_args_is_help=True)


@app.command()
def show(context: typer.Context) -> None:
    """Show the audit log, oldest first."""
    from ecgfl_cli.site.audit import AuditLog

    console = console_of(context, "audit-show")
    console.home.require_site()
    entries = AuditLog(console.home.audit).entries()
    hidden = ("time", "event", "previous", "hash")
    for each in entries:
        details = " ".join(f"{name}={value}" for name, value in each.items() if name not in hidden)
        console.text(f"{each['time'][:19]}Z {each['event']} {details}".rstrip())
    console.result(entries=entries)


@app.command()
def verify(context: typer.Context) -> None:
    """Check that no line was changed, removed or reordered. Exit code 3 when one was."""
    from ecgfl_cli.site.audit import AuditLog

    console = console_of(context, "audit-verify")
    console.home.require_site()
    entries = AuditLog(console.home.audit).entries()
    console.text(f"{len(entries)} lines, unbroken.")
    console.result(lines=len(entries))
