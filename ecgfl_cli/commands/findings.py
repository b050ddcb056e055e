"""Show findings as tables and text."""

from collections import Counter
from collections.abc import Mapping

from ecgfl_cli.console import Console
from ecgfl_cli.quality.findings import Finding, Severity, Usability, usability


def show_findings(
    console: Console,
    by_place: list[tuple[str, list[Finding]]],
    words: Mapping[Usability, str] | None = None,
) -> None:
    """Print a summary, a row for each error and warning, and the fix for each code, worst first.

    Findings of severity info appear only in the JSON and in `dataset show`.

    Parameters
    ----------
    console
        Shows them.
    by_place
        Each recording with its findings.
    words
        Text for each kind of usability; None prints its value.
    """
    if not by_place:
        return
    verdicts = Counter(usability(findings) for _, findings in by_place)
    counted = [
        f"{verdicts[kind]} {kind if words is None else words[kind]}"
        for kind in Usability
        if verdicts[kind] or kind is not Usability.UNLABELLED
    ]
    shown = [
        (place, finding)
        for place, findings in by_place
        for finding in findings
        if finding.severity is not Severity.INFO
    ]
    shown.sort(key=lambda pair: (pair[1].severity.rank, pair[1].code))
    console.text(f"Checked {len(by_place)}: {', '.join(counted)}; findings: {len(shown)}")
    counts = Counter((finding.severity, finding.code) for _, finding in shown)
    places = {
        key: len({place for place, finding in shown if (finding.severity, finding.code) == key})
        for key in counts
    }
    console.table(
        "Findings by code",
        ("severity ", "code ", "recordings", "findings"),
        [
            (severity, code, places[severity, code], count)
            for (severity, code), count in counts.items()
        ],
    )
    console.table(
        "Findings",
        ("severity ", "code ", "recording ", "lead ", "from s", "to s", "measured", "limit"),
        [
            (
                finding.severity,
                finding.code,
                place,
                finding.lead,
                finding.start_s,
                finding.stop_s,
                _amount(finding.value),
                _amount(finding.limit),
            )
            for place, finding in shown
        ],
    )
    for line in _fixes(shown):
        console.text(line)


def _fixes(shown: list[tuple[str, Finding]]) -> list[str]:
    """Return a line for each code and fix: the message of the first such finding, and the fix."""
    first: dict[tuple[str, str], tuple[str, Finding]] = {}
    for place, finding in shown:
        first.setdefault((finding.code, finding.fix), (place, finding))
    return [
        f"{code}: {place}: {finding.message}. {fix}"
        for (code, fix), (place, finding) in first.items()
    ]


def _amount(value: float | str | None) -> str | None:
    """Format with three significant digits, which also suit a share of 0.0008."""
    return f"{value:.3g}" if isinstance(value, float) else value
