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
from ecgfl_cli.processes import begin_loading
from ecgfl_cli.quality.findings import Verdict, verdict
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.store import WORKER_MODULES
from ecgfl_cli.store.catalogue import open_catalogue
from ecgfl_cli.store.validate import Checked, validate_files, validate_store


def command(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Recordings to check without keeping them. Default: the store.",
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

    begin_loading(WORKER_MODULES)

    console = console_of(context, "validate")
    home = console.home
    options: dict[str, Any] = {"fs": fs, "units": units, "labels": labels, "force": force}
    checked: list[Checked]
    if paths:
        recordings, reading = recordings_and_reading(
            console, paths, file_format, lead, follow_links=follow_links, **options
        )
        work = validate_files(recordings, reading, jobs)
        checked = list(console.track(work, len(recordings), "validate"))
    else:
        reading = reading_of(console, file_format, lead, follow_links=follow_links, **options)
        home.require_site()
        with exclusive(home.lock), open_catalogue(home.catalogue) as catalogue:
            checked = list(
                console.track(
                    validate_store(home, catalogue, reading, jobs),
                    len(catalogue.rows()),
                    "validate",
                )
            )
    read = [(place, result) for place, result in checked if not isinstance(result, str)]
    unreadable = {place: result for place, result in checked if isinstance(result, str)}
    for reason in unreadable.values():
        console.problem(reason)
    show_findings(console, read)
    verdicts = {place: verdict(findings) for place, findings in read}
    console.table(
        "Validated",
        ("where ", "verdict ", "findings"),
        [(place, verdicts[place], len(findings)) for place, findings in read]
        + [(place, "unreadable", None) for place in unreadable],
    )
    code = ExitCode.INPUT if unreadable or Verdict.REJECTED in verdicts.values() else ExitCode.DONE
    console.result(
        code,
        **{
            kind.value: [place for place in verdicts if verdicts[place] is kind] for kind in Verdict
        },
        unreadable=unreadable,
        findings={place: [finding.as_dict() for finding in findings] for place, findings in read},
    )
    raise typer.Exit(code)
