"""`ecgfl validate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ecgfl_cli.commands.findings import show_findings
from ecgfl_cli.commands.options import (
    FollowLinks,
    Force,
    InputFormat,
    Jobs,
    Labels,
    Lead,
    SamplingRate,
    Units,
)
from ecgfl_cli.commands.reading import reading_of, recordings_and_reading
from ecgfl_cli.console import console_of
from ecgfl_cli.errors import ExitCode
from ecgfl_cli.quality.findings import Usability, usability
from ecgfl_cli.store.validate import validate_files, validate_store


def command(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Recordings to check without storing them. Default: the store.",
            metavar="[PATH...]",
        ),
    ] = None,
    file_format: InputFormat = "auto",
    lead: Lead = None,
    fs: SamplingRate = None,
    units: Units = None,
    labels: Labels = None,
    force: Force = False,
    jobs: Jobs = 1,
    follow_links: FollowLinks = False,
) -> None:
    """Check recordings, or the whole store if no PATH is given.

    Exit code 3 if something is unusable.
    """
    console = console_of(context, "validate")
    home = console.home
    options: dict[str, Any] = {"fs": fs, "units": units, "labels": labels, "force": force}
    track = console.tracker("validate")
    if paths:
        recordings, reading = recordings_and_reading(
            console, paths, file_format, lead, follow_links=follow_links, **options
        )
        checked = validate_files(recordings, reading, jobs, track)
    else:
        reading = reading_of(console, file_format, lead, follow_links=follow_links, **options)
        home.require_site()
        checked = validate_store(home, reading, jobs, track)
    read = [(place, result) for place, result in checked if not isinstance(result, str)]
    unreadable = {place: result for place, result in checked if isinstance(result, str)}
    for reason in unreadable.values():
        console.problem(reason)
    show_findings(console, read)
    verdicts = {place: usability(findings) for place, findings in read}
    console.table(
        "Validated",
        ("where ", "verdict ", "findings"),
        [(place, verdicts[place], len(findings)) for place, findings in read]
        + [(place, "unreadable", None) for place in unreadable],
    )
    code = (
        ExitCode.INPUT if unreadable or Usability.REJECTED in verdicts.values() else ExitCode.DONE
    )
    console.result(
        code,
        **{
            kind.value: [place for place in verdicts if verdicts[place] is kind]
            for kind in Usability
        },
        unreadable=unreadable,
        findings={place: [finding.as_dict() for finding in findings] for place, findings in read},
    )
    raise typer.Exit(code)
