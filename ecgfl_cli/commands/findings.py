"""Show findings as tables and text."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ecgfl_cli.console import Console
from ecgfl_cli.quality.findings import Severity, Verdict, verdict

if TYPE_CHECKING:
    from ecgfl_cli.quality.findings import Finding, Verdict


def show_findings(
    console: Console,
    by_place: "list[tuple[str, list[Finding]]]",
    words: "Mapping[Verdict, str] | None" = None,
) -> None:
    """Print a summary, a row for each error and warning, and the fix for each code, worst first.

    Findings of severity info appear only in the JSON and in `dataset show`.

    Parameters
    ----------
    words
        Text for each verdict; None prints its value.
    """
    if not by_place:
        return
    verdicts = Counter(verdict(findings) for _, findings in by_place)
    counted = [
        f"{verdicts[each]} {each if words is None else words[each]}"
        for each in Verdict
        if verdicts[each] or each is not Verdict.UNLABELLED
    ]
    found = [
        (place, each)
        for place, findings in by_place
        for each in findings
        if each.severity is not Severity.INFO
    ]
    found.sort(key=lambda pair: (pair[1].severity.rank, pair[1].code))
    console.text(f"Checked {len(by_place)}: {', '.join(counted)}; findings: {len(found)}")
    counts = Counter((each.severity, each.code) for _, each in found)
    places = {
        key: len({place for place, each in found if (each.severity, each.code) == key})
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
                *(each.severity, each.code, place, each.lead, each.start_s, each.stop_s),
                *(_amount(each.value), _amount(each.limit)),
            )
            for place, each in found
        ],
    )
    for line in _what_to_do(found):
        console.text(line)


def _what_to_do(found: "list[tuple[str, Finding]]") -> list[str]:
    """Return a line for each code and fix: the message of the first such finding, and the fix."""
    fixes: dict[tuple[str, str], tuple[str, Finding]] = {}
    for place, each in found:
        fixes.setdefault((each.code, each.fix), (place, each))
    return [
        f"{code}: {place}: {each.message}. {fix}" for (code, fix), (place, each) in fixes.items()
    ]


def _amount(value: float | str | None) -> str | None:
    """Format with three significant digits, which also suit a share of 0.0008."""
    return f"{value:.3g}" if isinstance(value, float) else value
