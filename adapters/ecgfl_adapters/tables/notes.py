"""What the sniffer tells of what it understood."""

from collections.abc import Mapping
from typing import Any, NamedTuple

NOTHING: Mapping[str, Any] = {}
FROM_LAYOUT = "the [[csv]] layout in site.toml"


class Understood(NamedTuple):
    """One thing that was found out. why : the line, the option or the layout that says so. layout : the fields of a `CsvLayout`
    that would say the same, and `stated`, the unit that the file states for a lead."""

    what: str
    value: str
    why: str
    layout: Mapping[str, Any] = NOTHING
