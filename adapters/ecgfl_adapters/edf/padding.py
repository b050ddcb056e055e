"""The note in the recording field that tells the true length of a file that this program wrote.

EDF holds whole data records, so the last one is padded.
"""

import re

_LENGTH = re.compile(r"(?:^|\s)samples=(\d+)(?:\s|$)")


def length_note(length: int) -> str:
    """Return the note for a recording of `length` samples."""
    return f"samples={length}"


def true_length(recording_field: str, total: int, per_record: int) -> int:
    """Samples of a file that holds `total` with its padding, from its recording field; `total`
    where it does not say.
    """
    match = _LENGTH.search(recording_field)
    stated = int(match[1]) if match else total
    return stated if total - per_record < stated <= total else total


def is_written_here(recording_field: str) -> bool:
    """Return whether `write_edf` wrote the file: its annotations are beat labels."""
    return _LENGTH.search(recording_field) is not None
