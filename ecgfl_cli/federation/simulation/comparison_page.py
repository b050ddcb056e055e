"""What `ecgfl simulate` tried, side by side on one HTML page."""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from ecgfl_cli.federation.simulation.simulate import Simulated
from ecgfl_cli.models.manifest import Metrics
from ecgfl_cli.reports.charts import curves, legend
from ecgfl_cli.reports.render import page, table

CHARTS: tuple[tuple[str, Callable[[Metrics], float | None]], ...] = (
    ("Se: sensitivity for PVC, %", lambda metrics: _percent(metrics.sensitivity)),
    ("+P: precision for PVC, %", lambda metrics: _percent(metrics.precision)),
    ("F1 for PVC, %", lambda metrics: _percent(metrics.f1)),
    ("Loss, held-out patients", lambda metrics: metrics.loss),
)
COLUMNS = (
    "strategy",
    "outcome",
    "rounds",
    "held-out beats",
    "PVCs",
    "Se %",
    "+P %",
    "F1 %",
    "loss",
    "seconds",
)


def comparison_page(done: Sequence[Simulated]) -> str:
    """The whole page: curves with a line for each trial, and its last round in a table."""
    numbers = range(1, 1 + max((len(each.report.rounds) for each in done), default=0))
    charts = [
        curves(
            title,
            numbers,
            {each.name: [_figure(figure, value) for value in _metrics(each)] for each in done},
        )
        for title, figure in CHARTS
    ]
    reports = [quote(each.page.name) for each in done if each.page is not None]
    body = (
        legend([each.name for each in done]),
        f'<div class="charts">{"".join(charts)}</div>',
        '<p class="note">Gross over the beats of all held-out patients, on annotated beats, after each round.</p>',
        table(COLUMNS, [_row(each) for each in done]),
        *(f'<p><a href="{name}">{name}</a></p>' for name in reports),
    )
    return page("Strategies side by side", "\n".join(body))


def _metrics(each: Simulated) -> list[Metrics | None]:
    return [result.gross for result in each.report.rounds]


def _figure(figure: Callable[[Metrics], float | None], metrics: Metrics | None) -> float | None:
    return None if metrics is None else figure(metrics)


def _row(each: Simulated) -> Sequence[str]:
    last = each.last.gross if each.last else None
    counts = ("-", "-") if last is None else (str(last.beats), str(last.pvcs))
    shares = (None, None, None) if last is None else (last.sensitivity, last.precision, last.f1)
    return (
        each.name,
        each.report.problem or each.report.outcome,
        str(len(each.report.rounds)),
        *counts,
        *("-" if share is None else f"{100 * share:.2f}" for share in shares),
        "-" if last is None or last.loss is None else f"{last.loss:.4f}",
        f"{each.seconds:.1f}",
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
