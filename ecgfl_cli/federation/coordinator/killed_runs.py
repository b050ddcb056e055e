"""The reports of runs whose `serve` was killed and that no later one goes on with: they are brought to an end."""

import logging

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.report_page import page_of
from ecgfl_cli.federation.coordinator.runs.run_record import load_report, now
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.registry import Registry

_log = logging.getLogger(__name__)

KILLED = "`serve` was killed or the machine stopped, and another run followed"


def close_killed_runs(home: CoordinatorHome, registry: Registry, going_on: str) -> None:
    """Write into each report that still says "running" how far its run came. A report that cannot be read or written is passed
    over, and a warning about it is logged. going_on : the run that is served now.
    """
    last: dict[str, Manifest] = {entry.manifest.run: entry.manifest for entry in registry.entries()}
    for path in sorted(home.reports.glob("*.json")):
        try:
            report = load_report(path)
        except UnusableInput as error:
            _log.warning(f"a report of an earlier run is passed over: {error}")
            continue
        except FileNotFoundError:
            continue  # moved away just now
        if report.outcome != "running" or report.run == going_on or report.run not in last:
            continue
        manifest = last[report.run]
        report.end_with(manifest)
        report.ended = now()
        report.outcome, report.problem = (
            ("finished", None) if manifest.is_final else ("interrupted", KILLED)
        )
        try:
            atomic_write_bytes(path.with_suffix(".html"), page_of(report).encode())
            atomic_write_bytes(path, report.to_bytes())
        except OSError as error:
            _log.warning(
                f"{path}: the report of a run that was killed cannot be completed:"
                f" {error.strerror or error}"
            )
