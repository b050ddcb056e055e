"""The table of the privacy budget, and the same figures as a page with a chart."""

from datetime import datetime

from ecgfl_cli.reports.charts import Chart, legend, multi_line_chart
from ecgfl_cli.reports.render import render
from ecgfl_cli.site.privacy_policy import PrivacyPolicy
from ecgfl_cli.training.ledger.forecast import PACE_ROUNDS, CohortBudget, history_of
from ecgfl_cli.training.ledger.lines import Cohort

COLUMNS = ("cohort", "since", "patients", "rounds", "spent", "left", "rounds left", "spent on")

PAID_COLUMNS = ("time (UTC)", "run", "round", "cohorts", "unit", "noise", "sampling", "steps")

MOST_PAID = 20
"""Number of trainings in the table, the newest last. All are in the JSON object."""

MOST_POINTS = 30
"""Largest number of points of a cohort in the chart."""

FORECAST = (
    f"spent on: the day on which a cohort's budget is spent at the pace of its last {PACE_ROUNDS} "
    "rounds, or of all if there were fewer; unknown on the first day"
)


def title_of(privacy: PrivacyPolicy) -> str:
    """Return the title of the table."""
    unit = "patient" if privacy.unit == "patient" else "training row"
    return f"Privacy budget of each {unit}: epsilon {privacy.epsilon:g} at delta {privacy.delta:g}"


def cells_of(row: CohortBudget) -> tuple[str, ...]:
    """Return a row of the table."""
    return (
        "new" if row.number is None else str(row.number),
        "-" if row.since is None else f"{row.since:%Y-%m-%d}",
        str(row.patients),
        str(row.rounds),
        "unknown" if row.spent is None else f"{row.spent:.2f}",
        f"{row.left:.2f}",
        str(row.rounds_left),
        "-" if row.spent_on is None else row.spent_on.isoformat(),
    )


def paid_rows(cohorts: list[Cohort]) -> list[tuple[str, ...]]:
    """Return the newest trainings that were paid for, as rows of a table."""
    paid = {
        (item.time, item.line.request): item.line
        for cohort in cohorts
        for item in cohort.reservations
    }
    return [
        (
            f"{time:%Y-%m-%d %H:%M}",
            line.run,
            str(line.round),
            ", ".join(map(str, line.cohorts)),
            line.unit,
            f"{line.mechanism.noise_multiplier:g}",
            f"{line.mechanism.sampling:g}",
            str(line.mechanism.steps),
        )
        for (time, _), line in sorted(paid.items())[-MOST_PAID:]
    ]


def page_of(
    privacy: PrivacyPolicy, rows: list[CohortBudget], cohorts: list[Cohort], now: datetime
) -> str:
    """Return the HTML page with the table and a chart of what each cohort spent.

    Parameters
    ----------
    privacy : PrivacyPolicy
        The budget.
    rows : list of CohortBudget
        What is spent and left.
    cohorts : list of Cohort
        The cohorts with their rounds.
    now : datetime
        When the page is made.
    """
    chart, names = _chart(privacy, cohorts)
    return render(
        "privacy.html",
        title="Privacy budget",
        summary=[
            ("Made", f"{now:%Y-%m-%d %H:%M} UTC"),
            ("Budget", title_of(privacy)),
            (
                "A round",
                f"{privacy.steps} steps, noise {privacy.noise_multiplier:g}, sampling "
                f"{privacy.sampling:g}, clip {privacy.max_grad_norm:g}, {privacy.trained}",
            ),
        ],
        columns=COLUMNS,
        rows=[cells_of(row) for row in rows],
        note=FORECAST,
        charts=[chart],
        paid_columns=PAID_COLUMNS,
        paid=paid_rows(cohorts),
        legend=legend(names),
    )


def _chart(privacy: PrivacyPolicy, cohorts: list[Cohort]) -> tuple[Chart, list[str]]:
    """Return the chart, and the names of its lines."""
    histories = {
        f"cohort {cohort.number}": history_of(cohort, privacy, MOST_POINTS) for cohort in cohorts
    }
    times = sorted({point.time for points in histories.values() for point in points})
    lines: dict[str, list[float | None]] = {}
    for name, points in histories.items():
        spent = {point.time: point.epsilon for point in points}
        lines[name] = _without_gaps([spent.get(time) for time in times])
    lines["budget"] = [privacy.epsilon for _ in times]
    numbers = list(range(1, len(times) + 1))
    return multi_line_chart("Epsilon that is spent", numbers, lines), list(lines)


def _without_gaps(values: list[float | None]) -> list[float | None]:
    """Repeat each value until the next one: what is spent stays spent."""
    filled: list[float | None] = []
    for value in values:
        filled.append(filled[-1] if value is None and filled else value)
    return filled
