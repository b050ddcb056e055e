"""`ecgfl privacy`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.commands.privacy_page import (
    COLUMNS,
    FORECAST,
    PAID_COLUMNS,
    cells_of,
    page_of,
    paid_rows,
    title_of,
)
from ecgfl_cli.console import Console, console_of
from ecgfl_cli.errors import UsageError
from ecgfl_cli.files import atomic_write_bytes, readable_as_usual
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.site.settings import load_settings
from ecgfl_cli.times import current_time
from ecgfl_cli.training.ledger.budget import patients_known
from ecgfl_cli.training.ledger.forecast import CohortBudget, budgets
from ecgfl_cli.training.ledger.ledger import PrivacyLedger


def command(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Also write the budget as an HTML page with a chart.", metavar="FILE"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    restart: Annotated[
        str | None,
        typer.Option(
            "--restart",
            help="Begin a new ledger in place of a lost one; its patients have no budget left.",
            metavar="REASON",
        ),
    ] = None,
) -> None:
    """Show the privacy budget of this site: spent, left, and for how many rounds.

    A cohort is a group of patients who were ingested between two rounds. Each has a budget of its
    own, which ends for ever when it is spent.
    """
    console = console_of(context, "privacy")
    home = console.home
    home.require_site()
    if out is not None and out.exists() and not force:
        raise UsageError(
            f"{out} is there already", "Choose another name, or replace it with --force"
        )
    if restart is not None:
        _begin_anew(console, restart)
    policy = load_settings(home.settings).policy
    if policy.dp is None:
        if out is not None:
            raise UsageError(
                f"--out {out}: there is no budget to show: site.toml has no [policy.dp]",
                "Leave --out out",
            )
        console.text("This site trains without differential privacy: site.toml has no [policy.dp].")
        console.result(dp=None, cohorts=[], history=[])
        return
    cohorts = PrivacyLedger(home).cohorts()
    rows = budgets(home, policy.dp, cohorts)
    console.table(
        title_of(policy.dp), COLUMNS, map(cells_of, rows), empty="No patients to train on."
    )
    console.text(FORECAST)
    if paid := paid_rows(cohorts):
        console.table(f"The newest {len(paid)} trainings", PAID_COLUMNS, paid)
    if out is not None:
        page = page_of(policy.dp, rows, cohorts, current_time())
        with readable_as_usual():
            atomic_write_bytes(out, page.encode())
        console.text(f"{out}: the same as a page.")
    console.result(
        dp=policy.dp.model_dump(),
        cohorts=[_fields(row) for row in rows],
        history=[
            {"cohort": cohort.number, "time": item.time.isoformat(), **item.line.model_dump()}
            for cohort in cohorts
            for item in cohort.reservations
        ],
    )


def _begin_anew(console: Console, reason: str) -> None:
    """Begin a new ledger in place of a lost one."""
    home = console.home
    with exclusive(home.lock):
        kept, patients = PrivacyLedger(home).restart(reason, patients_known(home))
    old = "The old one was lost" if kept is None else f"The old one is kept as {kept}"
    console.text(
        f"{home.privacy}: a new ledger begins, in which {patients} patients have no budget. {old}."
    )


def _fields(row: CohortBudget) -> dict[str, object]:
    """Return the fields of a cohort for JSON."""
    return asdict(row) | {
        "since": None if row.since is None else row.since.isoformat(),
        "spent_on": None if row.spent_on is None else row.spent_on.isoformat(),
    }
