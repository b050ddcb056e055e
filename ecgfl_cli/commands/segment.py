"""`ecgfl segment`."""

import typer

from ecgfl_cli.beats.aami import BeatClass
from ecgfl_cli.commands.options import ArchitectureName, Jobs
from ecgfl_cli.console import console_of
from ecgfl_cli.models.architecture import DEFAULT, architecture
from ecgfl_cli.processes import begin_loading
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.store import WORKER_MODULES
from ecgfl_cli.store.catalogue import open_catalogue
from ecgfl_cli.store.segment import segment


def command(context: typer.Context, arch: ArchitectureName = DEFAULT, jobs: Jobs = 1) -> None:
    """Cut the labelled beats for a network and decide which patients are held out.

    `join` does this when needed.
    """

    begin_loading(WORKER_MODULES)

    console = console_of(context, "segment")
    home = console.home
    home.require_site()
    window = architecture(arch).window
    with exclusive(home.lock), open_catalogue(home.catalogue) as catalogue:
        usable = sum(row.status == "usable" for row in catalogue.rows())
        done, counts, unreadable = [], [], []
        for item in console.track(segment(home, catalogue, window, jobs), usable, "segment"):
            beats = item.beats()
            done.append(item)
            counts.append([int((beats.classes == kind).sum()) for kind in BeatClass])
            unreadable.append(int((~beats.readable).sum()))
    console.table(
        f"Beats for {arch}: {window.length} samples at {window.fs:g} Hz",
        ("record ", "patient ", "split ", *(kind.name for kind in BeatClass), "unreadable"),
        [
            (item.row.record, item.row.patient, item.split, *count, without)
            for item, count, without in zip(done, counts, unreadable, strict=True)
        ],
        empty="No usable labelled recording: `ecgfl dataset list` says why.",
        footer=(
            "",
            "",
            f"{len(done)} records",
            *(sum(column) for column in zip(*counts, strict=True)),
            "",
        )
        if done
        else None,
    )
    console.result(
        architecture=arch,
        records=[
            {
                "record": item.row.record,
                "patient": item.row.patient,
                "split": item.split,
                "cut": item.cut,
                "beats": {kind.name: number for kind, number in zip(BeatClass, count, strict=True)},
            }
            for item, count in zip(done, counts, strict=True)
        ],
    )
