"""How findings are shown."""

from typing import TYPE_CHECKING

from ecgfl_cli.console import Console

if TYPE_CHECKING:
    from ecgfl_cli.quality.findings import Finding


def show_findings(console: Console, by_place: "list[tuple[str, list[Finding]]]") -> None:
    """A line for each error and warning, worst first; what is only worth knowing stays in the JSON."""
    from ecgfl_cli.quality.findings import Severity

    found = [(place, each) for place, findings in by_place for each in findings if each.severity is not Severity.INFO]
    for place, finding in sorted(found, key=lambda pair: pair[1].severity.rank):
        console.text(f"{finding.severity} {finding.code}: {place}: {finding.message} {finding.fix}")
