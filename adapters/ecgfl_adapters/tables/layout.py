"""A vendor's own table of numbers, described by hand in site.toml as `[[csv]]`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

Separator = Literal[",", ";", "\t", "|", " "]
TimeUnit = Literal["h", "min", "s", "ms", "us", "ns", "datetime", "samples"]


@dataclass(frozen=True)
class CsvLayout:
    """What one kind of file looks like. What is left out is found out as for any other file.

    files : shell pattern of the file's name, "*.hol.csv"; the case does not matter.
    separator : between the cells; " " stands for any run of blanks.
    decimal : the decimal mark.
    skip_lines : lines before the header.
    header : whether the first line after them names the columns.
    time : name of the time column, or its number from 1; 0 says that there is none. time_unit :
    what it counts.
    fs : sampling rate in hertz. units : as for --units.
    leads : column name, or number from 1 as text -> lead name; other columns are not read.
    """

    files: str
    separator: Separator | None = None
    decimal: Literal[".", ","] | None = None
    skip_lines: int | None = None
    header: bool | None = None
    time: str | int | None = None
    time_unit: TimeUnit | None = None
    fs: float | None = None
    units: str | None = None
    leads: dict[str, str] = field(default_factory=dict)

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "allow_inf_nan": False}


@dataclass(frozen=True)
class TableOptions:
    """Options of tables in `ReadOptions.format_options`.

    Parameters
    ----------
    layouts : tuple of CsvLayout
        Tables that a site described by hand; the first whose file pattern fits is used.
    """

    layouts: tuple[CsvLayout, ...] = ()


NOTHING: Mapping[str, Any] = {}
FROM_LAYOUT = "the [[csv]] layout in site.toml"


class Understood(NamedTuple):
    """One thing that was found out about a table.

    Parameters
    ----------
    what, value : str
        The property, and what it is.
    why : str
        The line, the option or the layout that says so.
    layout : mapping
        The fields of a `CsvLayout` that would say the same, and `stated`, the unit that the file
        states.
    """

    what: str
    value: str
    why: str
    layout: Mapping[str, Any] = NOTHING
