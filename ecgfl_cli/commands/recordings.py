"""Which recordings a command line names."""

import os
from pathlib import Path

from ecgfl_adapters.search import find_recordings, leads_out_of, why_skipped

from ecgfl_cli.console import Console
from ecgfl_cli.errors import UnusableInput


def named_recordings(
    console: Console, paths: list[Path], *, follow_links: bool = False
) -> list[Path]:
    """Return one path for each recording, and print the files that no adapter reads.

    Parameters
    ----------
    follow_links
        Also follow links that lead out of a folder; otherwise they are printed too.

    Raises
    ------
    UnusableInput
        If there is no recording.
    """
    found = find_recordings(paths, follow_links=follow_links)
    for skipped in found.skipped:
        line = f"{skipped}: skipped, {why_skipped(skipped, paths, follow_links=follow_links)}"
        (
            console.problem
            if leads_out_of(skipped, paths, follow_links=follow_links)
            else console.say
        )(line)
    stems = {path.with_suffix("") for path in found.recordings}
    for path in paths:
        if os.path.isfile(path) and path.with_suffix("") not in stems and path not in found.skipped:  # noqa: PTH113
            console.problem(
                f"{path}: not a recording. Name the recording itself; of a WFDB record, its .hea "
                "file"
            )
    if not found.recordings:
        raise UnusableInput(
            f"{', '.join(map(str, paths))}: no recording in there",
            "Give WFDB, EDF or CSV recordings, or their folder",
        )
    return found.recordings
