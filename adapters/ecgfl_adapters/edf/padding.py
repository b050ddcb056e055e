"""The note in the recording field that states the true length of a file that ecgfl wrote.

EDF holds complete data records, so the last one is padded.
"""

import re

_LENGTH = re.compile(r"(?:^|\s)samples=(\d+)(?:\s|$)")


def length_note(length: int) -> str:
    """Return the note for a recording of `length` samples."""
    return f"samples={length}"


def true_length(recording_field: str, total: int, per_record: int) -> int:
    """Return the number of samples without padding from the recording field of a file.

    It is `total`, the number with padding, if the field does not state it.
    """
    match = _LENGTH.search(recording_field)
    stated = int(match[1]) if match else total
    return stated if total - per_record < stated <= total else total


def is_written_here(recording_field: str) -> bool:
    """Return whether `write_edf` wrote the file: its annotations are beat labels."""
    return _LENGTH.search(recording_field) is not None
