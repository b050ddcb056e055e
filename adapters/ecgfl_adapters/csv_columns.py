"""What the columns of a CSV file are, from their names."""

import re
from typing import NamedTuple

from ecgfl_adapters.units import factor_to_mv

_SECONDS_PER = {
    "s": 1.0,
    "sec": 1.0,
    "secs": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "sekunden": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "millis": 1e-3,
    "milliseconds": 1e-3,
    "us": 1e-6,
    "usec": 1e-6,
    "micros": 1e-6,
    "microseconds": 1e-6,
    "ns": 1e-9,
    "nanoseconds": 1e-9,
}
_TIME_WORDS = {"time", "t", "zeit", "timestamp", "elapsed"}
_INDEX_NAMES = {"sample", "samples", "sample #", "sample#", "sample number", "sample_number", "sample_index", "index"}
_MICRO = str.maketrans({"\u00b5": "u", "\u03bc": "u"})


LONGEST_NAME = 200
"""Characters of a column's name that are read."""


class LeadName(NamedTuple):
    """A lead's name and, where the column states one, its unit."""

    name: str
    unit: str | None


def seconds_per_unit(name: str) -> float | None:
    """Seconds in one unit of a time column ("time", "t_us_pico", "Time (ms)", "seconds"); None for any other column."""
    words = [word for word in re.split(r"[^a-z]+", name.lower().translate(_MICRO)) if word]
    if not words or (words[0] not in _TIME_WORDS and words[0] not in _SECONDS_PER):
        return None
    return next((_SECONDS_PER[word] for word in words if word in _SECONDS_PER), 1.0)


def is_index(name: str) -> bool:
    """Whether a column counts the samples."""
    return name.lower() in _INDEX_NAMES


def split_unit(column: str) -> LeadName:
    """ "MLII (mV)", "MLII_mV", "ecg [uV]", "MLII/mV" or "volt" -> the lead's name and its unit."""
    column = " ".join(column[:LONGEST_NAME].split())  # what follows takes the square of the length
    match = re.fullmatch(r"(.+?)\s*[\[(]\s*([^\])]+?)\s*[\])]", column) or re.fullmatch(r"(.+?)\s*[_/\s]\s*([^\W\d_]+)", column)
    if match is not None and factor_to_mv(match[2]) is not None:
        return LeadName(match[1], match[2])
    if len(column) > 1 and factor_to_mv(column) is not None:
        return LeadName(column, column)
    return LeadName(column, None)
