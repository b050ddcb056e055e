"""The progress bar: how far, how fast, how long yet."""

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ecgfl_cli.printable import printable


class Rate(ProgressColumn):
    """Items a second, or a minute where they take longer."""

    def render(self, task: Task) -> Text:
        speed = (
            task.finished_speed
            or task.speed
            or (task.completed / task.elapsed if task.elapsed else 0.0)
        )
        if not speed:
            return Text("-", style="progress.data.speed")
        return Text(
            f"{speed:.1f}/s" if speed >= 1 else f"{60 * speed:.1f}/min", style="progress.data.speed"
        )


def progress_bar(what: str, total: int) -> Progress:
    """Return a progress bar on stderr that disappears at the end; for a single item, a spinner and the elapsed time."""
    named = TextColumn(printable(what), markup=False)
    columns: tuple[ProgressColumn, ...] = (
        named,
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    if total == 1:
        columns = (SpinnerColumn("line"), named, TimeElapsedColumn())
    return Progress(*columns, console=Console(file=sys.stderr, highlight=False), transient=True)
