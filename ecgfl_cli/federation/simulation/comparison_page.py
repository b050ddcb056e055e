"""The data of the page that compares simulated runs: `reports/templates/comparison.html`."""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from ecgfl_cli.federation.simulation.simulate import Simulated
from ecgfl_cli.models.manifest import Metrics
from ecgfl_cli.reports.charts import legend, multi_line_chart
from ecgfl_cli.reports.render import render

CHARTS: tuple[tuple[str, Callable[[Metrics], float | None]], ...] = (
    ("Se: sensitivity for PVC, %", lambda metrics: _percent(metrics.sensitivity)),
    ("+P: precision for PVC, %", lambda metrics: _percent(metrics.precision)),
    ("F1 for PVC, %", lambda metrics: _percent(metrics.f1)),
    ("Loss, held-out patients", lambda metrics: metrics.loss),
)


def comparison_page(done: Sequence[Simulated]) -> str:
    """Return an HTML page with charts of all trials and a table of their last rounds."""
    numbers = range(1, 1 + max((len(trial.report.rounds) for trial in done), default=0))
    return render(
        "comparison.html",
        title="Strategies side by side",
        strategies=legend([trial.name for trial in done]),
        charts=[
            multi_line_chart(
                title,
                numbers,
                {
                    trial.name: [_figure(figure, value) for value in _metrics(trial)]
                    for trial in done
                },
            )
            for title, figure in CHARTS
        ],
        runs=[_row(trial) for trial in done],
        reports=[quote(trial.page.name) for trial in done if trial.page is not None],
    )


def _metrics(trial: Simulated) -> list[Metrics | None]:
    return [result.gross for result in trial.report.rounds]


def _figure(figure: Callable[[Metrics], float | None], metrics: Metrics | None) -> float | None:
    return None if metrics is None else figure(metrics)


def _row(trial: Simulated) -> Sequence[str]:
    last = trial.last.gross if trial.last else None
    counts = ("-", "-") if last is None else (str(last.beats), str(last.pvcs))
    shares = (None, None, None) if last is None else (last.sensitivity, last.precision, last.f1)
    return (
        trial.name,
        trial.report.problem or trial.report.outcome,
        str(len(trial.report.rounds)),
        *counts,
        *("-" if share is None else f"{100 * share:.2f}" for share in shares),
        "-" if last is None or last.loss is None else f"{last.loss:.4f}",
        f"{trial.seconds:.1f}",
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
