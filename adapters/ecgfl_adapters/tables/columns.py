"""Classifies the columns of a table by their names and their cells."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from ecgfl_adapters.channel_kinds import is_ecg, is_other_unit
from ecgfl_adapters.tables.cells import Kind
from ecgfl_adapters.tables.time_units import is_time_unit, time_title
from ecgfl_adapters.units import factor_to_mv

Role = Literal["lead", "other", "time", "samples", "date", "counter", "text", "empty"]
"""What a column is. "other" is a signal that is not an ECG, "counter" a number of the row that
restarts.
"""

_INDEX_NAMES = {
    "sample",
    "samples",
    "sample number",
    "sample no",
    "sample nr",
    "sample index",
    "sampleindex",
    "index",
}
_VOLTAGES = {"voltage", "spannung", "tension", "potential", "signal", "amplitude", "value"}
"""Names beside which a "V" stands for volts."""
_LONGEST = 200
"""Number of characters of a title that may state a unit."""


class LeadName(NamedTuple):
    """A lead's name and, where the column states one, its unit."""

    name: str
    unit: str | None


class Column(NamedTuple):
    """A column of a table.

    Parameters
    ----------
    place : int
        Index of the column, from 0.
    title : str
        Its name in the file, or "".
    name : str
        Name of the lead, without the unit.
    unit : str, optional
        The unit that the column states.
    kind : Kind
        What its cells hold.
    role : Role
        What the column is.
    """

    place: int
    title: str
    name: str
    unit: str | None
    kind: Kind
    role: Role


def is_index(name: str) -> bool:
    """Return whether a name is that of a column that counts the samples."""
    return " ".join(re.split(r"[\s_#'\"]+", name.lower())).strip() in _INDEX_NAMES


def split_unit(column: str) -> LeadName:
    """Return the lead and the unit in the name of a column, such as "MLII (mV)" or "ecg_uV"."""
    column = " ".join(column[:_LONGEST].split())  # the patterns take quadratic time
    match = re.fullmatch(r"(.+?)\s*[\[(]\s*([^\])]+?)\s*[\])]", column) or re.fullmatch(
        r"(.+?)\s*[_/\s]\s*([^\W\d_]+)", column
    )
    if match is not None and factor_to_mv(match[2]) is not None:
        in_brackets = column.endswith((")", "]"))
        if (
            match[2] in ("V", "v")
            and not in_brackets
            and "/" not in column
            and match[1].lower() not in _VOLTAGES
        ):
            return LeadName(column, None)  # "Lead V" and "ECG V" are a chest lead
        return LeadName(match[1], match[2])
    if len(column) > 1 and factor_to_mv(column) is not None:
        return LeadName(column, column)
    return LeadName(column, None)


def column_of(place: int, title: str, kind: Kind, unit: str | None) -> Column:
    """Return a column from its title and the kind of its cells.

    Parameters
    ----------
    place : int
        Index of the column.
    title : str
        Its name in the file.
    kind : Kind
        What its cells hold.
    unit : str, optional
        The unit in a line of units below the title.
    """
    title = " ".join(title[:_LONGEST].split())
    lead = split_unit(title)
    role: Role = "lead"
    if kind == "empty" and not title:
        role = "empty"
    elif kind == "text":
        role = "text"
    elif kind == "date":
        role = "date"
    elif kind in ("clock", "datetime") or (
        lead.unit is None and time_title(title, first=place == 0) is not None
    ):
        role = "time"
    elif is_index(title):
        role = "samples"
    bare = unit.strip("()[] '\"") if unit is not None else None
    stated = (
        bare
        if bare and (factor_to_mv(bare) is not None or is_time_unit(bare) or is_other_unit(bare))
        else lead.unit
    )
    return Column(place, title, lead.name, stated, kind, role)


def titles_of(
    above: list[list[str]], width: int
) -> tuple[tuple[str, ...], tuple[str, ...] | None] | None:
    """Return titles and units from the cells of the lines above the rows; None without titles.

    Units are None unless a line of units follows the titles.
    """
    if not above or len(above[-1]) != width:
        return None
    last = tuple(above[-1])
    if (
        len(above) > 1
        and len(above[-2]) == width
        and _are_units(last)
        and not _are_units(above[-2])
    ):
        return tuple(above[-2]), last
    return last, None


def _are_units(cells: Sequence[str]) -> bool:
    """Return whether a line holds units. Some may be unknown, and a lead may be called V."""
    known = [_is_unit(cell) or is_other_unit(cell) for cell in cells if cell]
    strange = [cell for cell in cells if cell and not (_is_unit(cell) or is_other_unit(cell))]
    stated = [
        cell
        for cell in cells
        if cell and _is_unit(cell) and (not strange or cell not in ("V", "v"))
    ]
    return (
        any(known)
        and bool(stated)
        and not any(is_ecg(cell) or time_title(cell) is not None for cell in strange)
    )


def _is_unit(text: str) -> bool:
    return not text or factor_to_mv(text.strip("()[] ")) is not None or is_time_unit(text)
