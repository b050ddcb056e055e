"""How findings are shown."""

from typing import TYPE_CHECKING

from ecgfl_cli.console import Console

if TYPE_CHECKING:
    from ecgfl_cli.quality.findings import Finding


def findings_table(console: Console, by_place: "list[tuple[str, list[Finding]]]") -> None:
    """Errors and warnings, worst first; what is only worth knowing stays in the JSON."""
    from ecgfl_cli.quality.findings import Severity

    rows = [(place, finding) for place, findings in by_place for finding in findings if finding.severity is not Severity.INFO]
    if rows:
        rows.sort(key=lambda row: row[1].severity.rank)
        console.table(
            "Findings",
            ("where ", "severity ", "code ", "what ", "fix "),
            [(place, finding.severity.value, finding.code, finding.message, finding.fix) for place, finding in rows],
        )
