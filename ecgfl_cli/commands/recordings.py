"""Which recordings a command line names."""

from pathlib import Path

from ecgfl_cli.console import Console


def named_recordings(console: Console, paths: list[Path]) -> list[Path]:
    """One path a recording; files that no adapter reads are named. Raises `UnusableInput` when nothing is left."""
    from ecgfl_adapters.discovery import find_recordings, why_skipped

    from ecgfl_cli.errors import UnusableInput

    found = find_recordings(paths)
    for skipped in found.skipped:
        console.say(f"{skipped}: skipped, {why_skipped(skipped)}")
    stems = {path.with_suffix("") for path in found.recordings}
    for path in paths:
        if path.is_file() and path.with_suffix("") not in stems and path not in found.skipped:
            console.problem(f"{path}: not a recording. Name the recording itself; of a WFDB record, its .hea file")
    if not found.recordings:
        raise UnusableInput(
            f"{', '.join(map(str, paths))}: no recording in there", "Give WFDB, EDF or CSV recordings, or their folder"
        )
    return found.recordings
