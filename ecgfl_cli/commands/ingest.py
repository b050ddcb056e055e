"""`ecgfl ingest`."""

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from ecgfl_cli.commands.options import (
    Explain,
    FollowLinks,
    Force,
    InputFormat,
    Jobs,
    Labels,
    Lead,
    Patient,
    Recordings,
    SamplingRate,
    Units,
)
from ecgfl_cli.console import console_of

if TYPE_CHECKING:
    from ecgfl_cli.site.home import Home
    from ecgfl_cli.store.ingest import Ingested


def command(
    context: typer.Context,
    paths: Recordings,
    file_format: InputFormat = "auto",
    lead: Lead = None,
    fs: SamplingRate = None,
    units: Units = None,
    labels: Labels = None,
    patient: Patient = "auto",
    force: Force = False,
    jobs: Jobs = 1,
    explain: Explain = False,
    follow_links: FollowLinks = False,
) -> None:
    """Read recordings, check them, and keep them without anything identifying.

    With --explain, show what is understood of tables of numbers (CSV) and why, and a [[csv]] block for site.toml; keep nothing.
    """
    from ecgfl_cli.processes import begin_loading
    from ecgfl_cli.store import WORKER_MODULES

    begin_loading(WORKER_MODULES)
    from ecgfl_cli.commands.explain import show_explanations
    from ecgfl_cli.commands.findings import show_findings
    from ecgfl_cli.commands.reading import reading_of, with_label_folder
    from ecgfl_cli.commands.recordings import named_recordings
    from ecgfl_cli.errors import EcgflError, ExitCode
    from ecgfl_cli.site.lock import exclusive
    from ecgfl_cli.store.catalogue import open_catalogue
    from ecgfl_cli.store.ingest import ingest
    from ecgfl_cli.store.patient_key import check_rule

    console = console_of(context, "ingest")
    links = {"named": tuple(paths), "follow_links": follow_links}
    if explain:
        show_explanations(
            console, paths, file_format, lead, fs=fs, units=units, labels=labels, **links
        )
    home = console.home
    home.require_site()
    recordings = named_recordings(console, paths, follow_links=follow_links)
    reading = reading_of(
        console,
        file_format,
        lead,
        check_rule(patient),
        fs=fs,
        units=units,
        labels=labels,
        force=force,
        **links,
    )
    reading = with_label_folder(console, reading, recordings, paths)
    with exclusive(home.lock), open_catalogue(home.catalogue) as catalogue:
        work = ingest(recordings, reading, home, catalogue, jobs)
        results: list[Ingested] = []
        try:
            results.extend(console.track(work, len(recordings), "ingest"))
        except BaseException:
            with suppress(
                OSError, EcgflError
            ):  # the error that stopped the ingest matters more than one in the log
                _note(home, results)
            raise
        done = _note(home, results)
    for result in results:
        if result.error is not None:
            console.problem(result.error)
    show_findings(
        console,
        [
            (str(result.path), result.findings)
            for result in results
            if result.outcome != "unreadable"
        ],
    )
    console.table(
        "Ingested",
        ("file ", "outcome ", "record ", "status "),
        [
            (result.path, result.outcome, result.record, result.status)
            for result in results
            if result.record is not None
        ],
    )
    code = ExitCode.INPUT if done["unreadable"] else ExitCode.DONE
    console.result(
        code,
        outcomes=dict(done),
        recordings=[
            {
                "file": result.path,
                "outcome": result.outcome,
                "record": result.record,
                "status": result.status,
                "error": result.error,
                "findings": [finding.as_dict() for finding in result.findings],
            }
            for result in results
        ],
    )
    raise typer.Exit(code)


def _note(home: "Home", results: "list[Ingested]") -> "Counter[str]":
    """Count what became of the files, in the audit log, too."""
    from ecgfl_cli.site.audit import AuditLog
    from ecgfl_cli.store.ingest import EVENT

    done: Counter[str] = Counter(result.outcome for result in results)
    AuditLog(home.audit).append(EVENT, outcomes=dict(done))
    return done
