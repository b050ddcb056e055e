"""The forms in which programs write times of day and dates."""

import re
from typing import Literal

_DATE = r"""(?: \d{4}[-/.]\d{1,2}[-/.]\d{1,2} | \d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})
    | \d{1,2}\.?[-/\s]?\s?[^\W\d_]{3,10}\.?[-/,\s]?\s?(?:\d{4}|\d{2})
    | [^\W\d_]{3,10}\.?[-/\s]\d{1,2},?[-/\s]\d{4}
    | \d{4}[-/\s]?[^\W\d_]{3,10}[-/\s]?\d{1,2} | \d{4}[年년]\s?\d{1,2}[月월]\s?\d{1,2}[日일] )"""
_ZONE = r"(?: Z | (?:UTC|GMT)?[+-]\d{1,2}(?::?\d\d)? | UTC | GMT | [A-Z]{3,5} )"

STAMP = re.compile(
    rf"""\[? (?: (?:[^\W\d_]{{2,10}}\.?,?\s+)? (?P<date>{_DATE}) (?: (?:[T_:] | ,?\s) \s* ) )?
    (?: (?P<hours>\d{{1,3}}) : )? (?P<minutes>\d{{1,4}}) : (?P<seconds>\d{{1,2}})
    (?: (?P<mark>[.,:]) (?P<fraction>\d{{1,9}}) )?
    (?: \s* (?P<half>[AaPp])\.?\s?[Mm]\.? )? (?: \s* (?P<zone>{_ZONE}) )?
    (?: \s+ (?P<later>{_DATE}) )? \]?""",
    re.VERBOSE,
)
"""A time of day, with its date before or after it, or alone; the last field may be milliseconds
after a colon.
"""

COMPACT = re.compile(
    r"""(?P<year>(?:19|20)\d\d)(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])[T\s_-]?
    (?P<hours>[01]\d|2[0-3])(?P<minutes>[0-5]\d)(?P<seconds>[0-5]\d)
    (?: [.,]?(?P<fraction>\d{3}|\d{6}) )?""",
    re.VERBOSE | re.ASCII,
)
"""YYYYMMDDhhmmss, with milliseconds or microseconds or without."""

_DATE_ALONE = re.compile(_DATE, re.VERBOSE)
_LONGEST = 60
"""Characters of the longest stamp."""


def stamp_kind(cell: str) -> Literal["clock", "date", "datetime"] | None:
    """Return what a cell with a time of day, a date or both holds; None for any other cell."""
    if len(cell) > _LONGEST:
        return None
    if COMPACT.fullmatch(cell):
        return "datetime"
    stamp = STAMP.fullmatch(cell)
    if stamp is not None:
        return "datetime" if stamp["date"] or stamp["later"] else "clock"
    return "date" if _DATE_ALONE.fullmatch(cell) else None


_MONTHS = (
    "jan janv gen ene sty",
    "feb fév fev févr lut",
    "mar mär mrz maa mrt mars març",
    "apr avr abr kwi",
    "may mai maj mei mag",
    "jun juin giu cze",
    "jul juil lug lip",
    "aug aoû ago sie août",
    "sep set wrz sept",
    "oct okt ott out paź",
    "nov lis",
    "dec dez déc dic gru",
)
_MONTH_OF = {
    name: number for number, names in enumerate(_MONTHS, start=1) for name in names.split()
}


def month_of(word: str) -> int | None:
    """Return the number of a month from its name or abbreviation in several languages, or None."""
    return next(
        (_MONTH_OF[word[:size].lower()] for size in (4, 3) if word[:size].lower() in _MONTH_OF),
        None,
    )
