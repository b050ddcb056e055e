"""Make the HTML pages of a run's report.

To add a page, add a template to `reports/templates` and a line to `PAGES`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ecgfl_cli.federation.coordinator.rounds.outliers import deviation_in_words
from ecgfl_cli.federation.coordinator.runs.global_models import VERDICT_IN_WORDS
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult
from ecgfl_cli.federation.coordinator.runs.run_record import RunReport
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.reports.charts import Chart, line_chart
from ecgfl_cli.reports.render import render

PAGES: Mapping[str, str] = {
    ".html": "run.html",
}
"""Template of each page, by the suffix that replaces the suffix of the report's file.

Each template gets the same variables; see `_variables`.
"""

OUTCOMES = {
    "running": "still running, or killed: start `serve` again to continue",
    "finished": "finished",
    "failed": "ended in an error",
    "interrupted": "interrupted",
}


def write_pages(report: RunReport, path: Path) -> None:
    """Write all pages of a run's report.

    Parameters
    ----------
    report
        The report.
    path
        File of the report. The pages have other suffixes.

    Raises
    ------
    OSError
        A page cannot be written.
    """
    for suffix in PAGES:
        atomic_write_bytes(path.with_suffix(suffix), page_of(report, suffix).encode())


def page_of(report: RunReport, suffix: str = ".html") -> str:
    """Return a page of a run's report; `suffix` is a key of `PAGES`."""
    return render(PAGES[suffix], **_variables(report))


def _variables(report: RunReport) -> dict[str, Any]:
    return {
        "title": f"Run {report.run}",
        "summary": _summary(report),
        "charts": _charts(report.rounds) if report.rounds else [],
        "rounds": [_round(result) for result in report.rounds],
        "sites": _sites(report),
        "deviating": _deviating(report),
        "figures": _figures(report),
        "dropped": _dropped(report),
        "plan": [
            (name.replace("_", "-"), _plan_value(value)) for name, value in report.plan.items()
        ],
    }


def _charts(rounds: Sequence[RoundResult]) -> list[Chart]:
    numbers = [result.round for result in rounds]
    return [
        line_chart("Loss, training", numbers, [result.loss for result in rounds]),
        line_chart(
            "Loss, held-out patients",
            numbers,
            [result.metrics.loss if result.metrics else None for result in rounds],
        ),
        line_chart(
            "Se: sensitivity for PVC, %",
            numbers,
            [_percent(result, "sensitivity") for result in rounds],
        ),
        line_chart(
            "+P: precision for PVC, %",
            numbers,
            [_percent(result, "precision") for result in rounds],
        ),
        line_chart(
            "Sites in the model",
            numbers,
            [float(len(result.sites)) for result in rounds],
            are_counts=True,
        ),
        line_chart("Seconds", numbers, [result.seconds for result in rounds]),
    ]


def _summary(report: RunReport) -> list[Sequence[str]]:
    done = report.rounds[-1].round if report.rounds else 0
    return [
        ("Outcome", OUTCOMES[report.outcome]),
        *([("Why", report.problem)] if report.problem else []),
        ("Rounds finished", f"{done} of {report.plan.get('rounds', '?')}"),
        ("Newest model", report.final),
        ("Started from", report.start or "-"),
        ("Absent (enrolled, took no part)", ", ".join(report.absent) or "-"),
        ("Architecture", report.architecture),
        ("Strategy", str(report.plan.get("strategy", "?"))),
        ("Began", report.began),
        ("Ended", report.ended or "-"),
        ("Times served", str(report.starts)),
    ]


def _round(result: RoundResult) -> Sequence[str]:
    metrics = result.metrics
    return (
        str(result.round),
        (result.began or "-")[:19].replace("T", " "),
        _number(result.seconds, 1),
        result.version,
        str(len(result.sites)),
        ", ".join(result.absent) or "-",
        str(result.examples),
        _number(result.loss, 4),
        "-" if metrics is None else str(metrics.beats),
        "-" if metrics is None else str(metrics.pvcs),
        _number(_percent(result, "sensitivity"), 1),
        _number(_percent(result, "precision"), 1),
    )


def _sites(report: RunReport) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    dropped = [site for _, site, _ in _dropped(report)]
    verdicts = {site: code for result in report.rounds for site, code in result.verdicts.items()}
    for name in sorted({*report.sites, *dropped, *report.absent}):
        counts = [
            result.examples_by_site[name]
            for result in report.rounds
            if name in result.examples_by_site
        ]
        rounds = sum(name in result.sites for result in report.rounds)
        beats = str(counts[-1]) if counts else "absent" if name in report.absent else "-"
        verdict = next(
            (words for code, words in VERDICT_IN_WORDS.items() if code == verdicts.get(name)), "-"
        )
        rows.append((name, str(rounds), beats, str(dropped.count(name)), verdict))
    return rows


def _figures(report: RunReport) -> list[Sequence[str]]:
    return [
        (
            str(result.round),
            name,
            _count(site.train_beats)
            + (f" (counts as {site.counted_beats})" if site.is_capped else ""),
            _count(site.train_pvcs),
            _number(site.train_loss, 4),
            _number(site.update_norm, 3),
            _number(None if site.weight is None else 100 * site.weight, 1),
            _count(site.beats),
            _count(site.pvcs),
            _share(site.sensitivity, site.true_positives, site.pvcs),
            _share(site.precision, site.true_positives, site.called),
            _number(site.loss, 4),
        )
        for result in report.rounds
        for name, site in sorted(result.by_site.items())
    ]


def _deviating(report: RunReport) -> list[Sequence[str]]:
    return [
        (str(result.round), name, deviation_in_words(result, name))
        for result in report.rounds
        for name, site in sorted(result.by_site.items())
        if site.deviates
    ]


def _dropped(report: RunReport) -> list[tuple[str, str, str]]:
    replies = [(str(each.round), reply) for each in report.rounds for reply in each.dropped]
    replies += [("not finished", reply) for reply in report.left_out]
    return [(where, reply.site, reply.reason) for where, reply in replies]


def _percent(result: RoundResult, name: str) -> float | None:
    share = None if result.metrics is None else getattr(result.metrics, name)
    return None if share is None else 100 * float(share)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _share(share: float | None, part: int | None, total: int | None) -> str:
    """Return the percentage, with its counts if they are known."""
    percentage = _number(None if share is None else 100 * share, 1)
    counts = f" ({part} of {total})" if part is not None and total else ""
    return percentage + counts


def _plan_value(value: object) -> str:
    if isinstance(value, dict):
        sites = [
            name if bound is None else f"{name} (at most {bound} beats)"
            for name, bound in value.items()
        ]
        return ", ".join(sites) or "-"
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
