"""Which recordings a command line names."""

from collections import Counter
from pathlib import Path

from ecgfl_cli.console import Console


def named_recordings(console: Console, paths: list[Path]) -> list[Path]:
    """One path a recording; files that no adapter reads are named. Raises `UnusableInput` when nothing is left."""
    from ecgfl_adapters.discovery import find_recordings, why_skipped

    from ecgfl_cli.errors import UnusableInput

    found = find_recordings(paths)
    for skipped in found.skipped:
        console.say(f"{skipped}: left out, {why_skipped(skipped)}")
    stems = {path.with_suffix("") for path in found.recordings}
    for path in paths:
        if path.is_file() and path.with_suffix("") not in stems and path not in found.skipped:
            console.problem(f"{path}: not a recording. Name the recording itself; of a WFDB record, its .hea file")
    if not found.recordings:
        raise UnusableInput(
            f"{', '.join(map(str, paths))}: no recording in there", "Give WFDB, EDF or CSV recordings, or their folder"
        )
    return found.recordings


def refuse_equal_names(recordings: list[Path]) -> None:
    """Raises `UsageError` when two recordings would write the same output files."""
    from ecgfl_cli.errors import UsageError

    twice = [name for name, number in Counter(path.stem for path in recordings).items() if number > 1]
    if twice:
        places = [str(path) for path in recordings if path.stem == twice[0]]
        raise UsageError(f"recordings of the same name: {', '.join(places)}", "Predict them one by one, each with its own --out")
