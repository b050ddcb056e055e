"""Describes a vendor's own tables, as `[[csv]]` in site.toml does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

Separator = Literal[",", ";", "\t", "|", " "]
TimeUnit = Literal["h", "min", "s", "ms", "us", "ns", "datetime", "samples"]


@dataclass(frozen=True)
class CsvLayout:
    """The form of one kind of file. A field that is None is detected.

    Parameters
    ----------
    files : str
        Shell pattern of the file names, such as "*.hol.csv"; case does not matter.
    separator : str, optional
        Between the cells; " " stands for any run of blanks.
    decimal : {".", ","}, optional
        The decimal mark.
    skip_lines : int, optional
        Number of lines before the header.
    header : bool, optional
        Whether the first line after them names the columns.
    time : str or int, optional
        Name of the time column, or its number from 1; 0 if there is none.
    time_unit : str, optional
        What the time column counts.
    fs : float, optional
        Sampling rate in hertz.
    units : str, optional
        Unit of the samples, as for --units.
    leads : dict of str to str
        Column name, or number from 1 as text, to lead name; other columns are not read.
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
    """One property of a table that was found out.

    Parameters
    ----------
    what, value : str
        The property and its value.
    why : str
        The line, the option or the layout that shows it.
    layout : mapping
        The fields of a `CsvLayout` that state the same, and `stated`, the unit in the file.
    """

    what: str
    value: str
    why: str
    layout: Mapping[str, Any] = NOTHING
