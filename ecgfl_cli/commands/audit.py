"""`ecgfl audit show|head|verify|restart`."""

import re
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from ecgfl_cli.commands.lazy_group import HelpGroup
from ecgfl_cli.commands.options import duration
from ecgfl_cli.console import Console, console_of, fields_of
from ecgfl_cli.federation.coordinator.audit import audit_log, locked
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.site.audit import INTENT, AuditLog, without_finished_intents
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.times import DURATION
from ecgfl_cli.training.ledger.ledger import PrivacyLedger

app = typer.Typer(
    cls=HelpGroup,
    help="Show and verify the log of what this site did and sent.",
    no_args_is_help=True,
)
"""Also used as `ecgfl coordinator audit`, for the coordinator's log."""

HASH = re.compile(r"[0-9a-f]{64}")
CHAIN = ("time", "line", "event", "previous", "hash")
"""Fields that each line has; its other fields are its details."""


def _since(text: str | None) -> datetime | None:
    """Parse a date, a time (UTC if it has no zone), or a duration before now."""
    if text is None:
        return None
    if DURATION.match(text):
        try:
            return datetime.now(UTC) - timedelta(seconds=duration(text))
        except OverflowError as error:
            raise typer.BadParameter(f"{text!r} is before the year 1") from error
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not a valid time (examples: 2026-11-25, 2026-11-25T22:00, 7d)"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _log(context: typer.Context, verb: str) -> tuple[Console, AuditLog]:
    """Return the console and the audit log of the site or the coordinator."""
    if "coordinator" not in context.command_path.split():
        console = console_of(context, verb)
        console.home.require_site()
        return console, AuditLog(console.home.audit)

    console = console_of(context, f"coordinator-{verb}")
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    return console, audit_log(home)


def _hash(text: str | None) -> str | None:
    if text is not None and not HASH.fullmatch(text):
        raise typer.BadParameter(
            f"{text!r} is not a head; `ecgfl audit head` prints one, 64 digits from 0 to f"
        )
    return text


@app.command()
def show(
    context: typer.Context,
    event: Annotated[
        list[str] | None,
        typer.Option("--event", help="Show only this event. The option can be repeated."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="Show lines since this date or time (UTC), or 7d for the last week.",
            metavar="TIME",
        ),
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", min=1, help="Show only the last N lines.", metavar="N")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also show `intent` lines of changes that were completed.")
    ] = False,
) -> None:
    """Show the audit log, oldest line first. The whole log is always checked."""
    console, log = _log(context, "audit-show")
    start = _since(since)
    entries = log.entries()
    if not every and INTENT not in (event or []):
        entries = without_finished_intents(entries)
    entries = [entry for entry in entries if _wanted(entry, event, start)]
    entries = entries[-last:] if last else entries
    console.table(
        f"{log.path}",
        ("time ", "event ", "details "),
        [(f"{entry['time'][:19]}Z", entry["event"], _details(entry)) for entry in entries],
        empty="No such lines.",
    )
    console.result(entries=entries)


def _wanted(entry: dict[str, Any], events: list[str] | None, start: datetime | None) -> bool:
    return (not events or entry["event"] in events) and (
        start is None or datetime.fromisoformat(entry["time"]) >= start
    )


def _details(entry: dict[str, Any]) -> str:
    details = {name: value for name, value in entry.items() if name not in CHAIN}
    return " ".join(
        f"{name}={'-' if value is None else value}" for name, value in fields_of(details)
    )


@app.command()
def head(context: typer.Context) -> None:
    """Print the number of lines and the hash of the last line, the head of the log.

    Note it outside this machine for `audit verify --head`.
    """
    console, log = _log(context, "audit-head")
    found = log.head()
    console.text(f"{found.lines} lines, head {found.hash}")
    console.result(lines=found.lines, head=found.hash)


@app.command()
def verify(
    context: typer.Context,
    noted: Annotated[
        str | None,
        typer.Option(
            "--head",
            help="A head noted earlier, which must still be in the log.",
            metavar="HASH",
            callback=_hash,
        ),
    ] = None,
) -> None:
    """Check that no line was changed, removed, reordered or backdated.

    Exit code 3 if the log is damaged.

    The log is also compared with audit.head beside it. Anyone who can write both files can replace
    both. To detect that, compare with a noted --head, or with the head that the coordinator
    received last (`ecgfl coordinator sites`).
    """
    console, log = _log(context, "audit-verify")
    found = log.verify(noted)
    console.text(
        f"{found.lines} lines, "
        f"unbroken{'' if noted is None else ', and the noted head is one of them'}."
    )
    console.result(lines=found.lines, head=found.hash)


@app.command()
def restart(
    context: typer.Context,
    reason: Annotated[
        str, typer.Option("--reason", help="What happened to the log. The new log records it.")
    ],
) -> None:
    """Replace a damaged or lost audit log.

    The old file is kept, and the first line of the new log states what was lost.
    """
    console, log = _log(context, "audit-restart")
    with _locked(console, log):
        if log.path == console.home.audit:
            kept = log.restart(reason, ledger=PrivacyLedger(console.home).carried_over())
        else:
            kept = log.restart(reason)
    console.text(
        f"{log.path}: a new log begins. "
        f"{'The old one was lost' if kept is None else f'The old one is kept as {kept}'}."
    )
    if log.path == console.home.audit:
        console.text(
            "The coordinator will report that this site's log went backwards: tell it the reason."
        )
    console.result(kept=kept)


def _locked(console: Console, log: AuditLog) -> AbstractContextManager[object]:
    if log.path == console.home.audit:
        return exclusive(console.home.lock)

    return locked(CoordinatorHome(log.path.parent))
