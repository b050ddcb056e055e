"""`ecgfl ingest`."""

from collections import Counter

import typer

from ecgfl_cli.commands.explain import show_explanations
from ecgfl_cli.commands.findings import show_findings
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
from ecgfl_cli.commands.reading import recordings_and_reading
from ecgfl_cli.console import console_of
from ecgfl_cli.errors import ExitCode
from ecgfl_cli.store.ingest import ingest_files
from ecgfl_cli.store.patient_key import check_rule


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
    """Read and check recordings, and keep them without identifying data.

    With --explain, only show how CSV files are read and why, and a [[csv]] block for site.toml.
    """
    console = console_of(context, "ingest")
    if explain:
        show_explanations(
            console,
            paths,
            file_format,
            lead,
            fs=fs,
            units=units,
            labels=labels,
            named=tuple(paths),
            follow_links=follow_links,
        )
    home = console.home
    home.require_site()
    recordings, reading = recordings_and_reading(
        console,
        paths,
        file_format,
        lead,
        patient=check_rule(patient),
        follow_links=follow_links,
        fs=fs,
        units=units,
        labels=labels,
        force=force,
    )
    results = ingest_files(
        home,
        recordings,
        reading,
        jobs,
        console.tracker("ingest"),
    )
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
    outcomes = Counter(result.outcome for result in results)
    code = ExitCode.INPUT if outcomes["unreadable"] else ExitCode.DONE
    console.result(
        code,
        outcomes=dict(outcomes),
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
