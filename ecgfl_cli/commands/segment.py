"""`ecgfl segment`."""

import typer

from ecgfl_cli.beats.aami import BeatClass
from ecgfl_cli.commands.options import ArchitectureName, Jobs
from ecgfl_cli.console import console_of
from ecgfl_cli.models.architecture import DEFAULT, architecture
from ecgfl_cli.store.segment import segment_store


def command(context: typer.Context, arch: ArchitectureName = DEFAULT, jobs: Jobs = 1) -> None:
    """Cut the labelled beats for a network and select the held-out patients.

    `join` does this when needed.
    """
    console = console_of(context, "segment")
    console.home.require_site()
    window = architecture(arch).window
    records = segment_store(console.home, window, jobs, console.tracker("segment"))
    classes = [kind.name for kind in BeatClass]
    totals = [sum(item.beats[name] for item in records) for name in classes]
    console.table(
        f"Beats for {arch}: {window.length} samples at {window.fs:g} Hz",
        ("record ", "patient ", "split ", *classes, "unreadable"),
        [
            (
                item.row.record,
                item.row.patient,
                item.split,
                *item.beats.values(),
                item.unreadable,
            )
            for item in records
        ],
        empty="No usable labelled recording: `ecgfl dataset list` says why.",
        footer=("", "", f"{len(records)} records", *totals, "") if records else None,
    )
    console.result(
        architecture=arch,
        records=[
            {
                "record": item.row.record,
                "patient": item.row.patient,
                "split": item.split,
                "cut": item.cut,
                "beats": item.beats,
            }
            for item in records
        ],
    )
