"""`ecgfl privacy`."""

from dataclasses import asdict

import typer

from ecgfl_cli.console import console_of
from ecgfl_cli.site.settings import load_settings
from ecgfl_cli.training.ledger.forecast import budgets
from ecgfl_cli.training.ledger.ledger import PrivacyLedger


def command(context: typer.Context) -> None:
    """Show the privacy budget of this site: spent, left, and for how many rounds.

    A cohort is a group of patients who were ingested between two rounds. Each has a budget of its
    own, which ends for ever when it is spent.
    """
    console = console_of(context, "privacy")
    home = console.home
    home.require_site()
    policy = load_settings(home.settings).policy
    if policy.dp is None:
        console.text("This site trains without differential privacy: site.toml has no [policy.dp].")
        console.result(dp=None, cohorts=[], history=[])
        return
    rows = budgets(home, policy)
    history = [
        {"cohort": cohort.number, "time": item.time.isoformat(), **item.line.model_dump()}
        for cohort in PrivacyLedger(home).cohorts()
        for item in cohort.reservations
    ]
    unit = "patient" if policy.dp.unit == "patient" else "training row"
    console.table(
        f"Privacy budget of each {unit}: epsilon {policy.dp.epsilon:g} at delta "
        f"{policy.dp.delta:g}",
        ("cohort", "since", "patients", "rounds", "spent", "left", "rounds left"),
        [
            (
                "new" if row.number is None else row.number,
                None if row.since is None else f"{row.since:%Y-%m-%d}",
                row.patients,
                row.rounds,
                row.spent,
                row.left,
                row.rounds_left,
            )
            for row in rows
        ],
        empty="No patients to train on.",
    )
    console.result(
        dp=policy.dp.model_dump(),
        cohorts=[
            asdict(row) | {"since": None if row.since is None else row.since.isoformat()}
            for row in rows
        ],
        history=history,
    )
