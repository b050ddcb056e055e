"""Complete the reports of runs whose `serve` was killed and that will not be resumed."""

import logging

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.report_page import write_pages
from ecgfl_cli.federation.coordinator.runs.run_record import load_report, now
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.registry import Registry

_log = logging.getLogger(__name__)

KILLED = "`serve` was killed or the machine stopped, and another run followed"
"""The problem in the report of a killed run."""


def close_killed_runs(home: CoordinatorHome, registry: Registry, current_run: str) -> None:
    """Write the outcome into each report that still says "running".

    Reports that cannot be read or written are skipped, with a log line.

    Parameters
    ----------
    home
        Home of the coordinator.
    registry
        Its models, which show how many rounds a run finished.
    current_run
        The run that is being served.
    """
    last: dict[str, Manifest] = {entry.manifest.run: entry.manifest for entry in registry.entries()}
    for path in sorted(home.reports.glob("*.json")):
        try:
            report = load_report(path)
        except UnusableInput as error:
            _log.warning(f"a report of an earlier run is passed over: {error}")
            continue
        except FileNotFoundError:
            continue  # removed since the folder was listed
        if report.outcome != "running" or report.run == current_run or report.run not in last:
            continue
        manifest = last[report.run]
        report.end_with(manifest)
        report.ended = now()
        report.outcome, report.problem = (
            ("finished", None) if manifest.is_final else ("interrupted", KILLED)
        )
        try:
            write_pages(report, path)
            atomic_write_bytes(path, report.to_bytes())
        except OSError as error:
            _log.warning(
                f"{path}: the report of a run that was killed cannot be completed:"
                f" {error.strerror or error}"
            )
