"""Explains how a table was understood, and writes the `[[csv]]` block of site.toml for it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from ecgfl_adapters.companions import is_elsewhere, link_bounds, links_within, real_path
from ecgfl_adapters.errors import AdapterError, FileUnreadable
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.tables.adapter import read_understood
from ecgfl_adapters.tables.layout import Understood

_MISSING = {
    "separator": '";"            # or ",", "|", " ", "\\t"',
    "decimal": '","              # or "."',
    "time": '"Zeit"              # name or number from 1 of the time column; 0 where there is none',
    "time_unit": '"ms"           # h, min, s, ms, us, ns, datetime or samples',
    "fs": "250                   # hertz, where no column tells",
    "units": '"mV"               # or uV, V, nV, adc:GAIN:BASELINE',
    "leads": '{ "EKG 1" = "II" } # column name or number -> lead; other columns are not read',
}
"""An example for each field that the user may have to add."""


class Explanation(NamedTuple):
    """How a table was understood.

    Parameters
    ----------
    path : Path
        The file.
    understood : tuple of Understood
        What was found out, in this order.
    layout : str
        The equivalent `[[csv]]` block in TOML.
    error : AdapterError, optional
        The error that ended the reading.
    """

    path: Path
    understood: tuple[Understood, ...]
    layout: str
    error: AdapterError | None


def explain(path: Path, options: ReadOptions) -> Explanation:
    """Read a whole table as `CsvAdapter.read` does, and return how it was understood.

    An error is part of the result and is not raised.
    """
    notes: list[Understood] = []
    failure: AdapterError | None = None
    try:
        with links_within(link_bounds(path, options.named, follow_links=options.follow_links)):
            if is_elsewhere(path):
                problem = "is a link to a file in another folder, of which nothing is shown"
                raise FileUnreadable(
                    path,
                    problem,
                    f"Name the file itself ({real_path(path)}), or give --follow-links",
                )
            read_understood(path, options, notes)
    except AdapterError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - shown to the user as a fault of the file, as `read` does
        failure = FileUnreadable(
            path,
            f"the csv reader failed with {type(error).__name__}: {error}",
            "Export the file again",
        )
    return Explanation(path, tuple(notes), layout_block(path, notes), failure)


def layout_block(path: Path, notes: list[Understood]) -> str:
    """Return a `[[csv]]` block with what `notes` state.

    The fields that they do not state are comments with an example.
    """
    fields: dict[str, Any] = {}
    stated = {note.layout.get("stated") for note in notes if "leads" in note.layout}
    leads: dict[str, str] = {}
    for note in notes:
        fields |= note.layout
        leads |= note.layout.get("leads", {})
    fields.pop("stated", None)
    if len(stated) == 1 and (unit := stated.pop()) is not None:
        fields["units"] = unit  # if columns differ, each states its own unit
    if leads:
        fields["leads"] = leads
    pattern = f"*{''.join(path.suffixes[-2:]) if path.suffix == '.gz' else path.suffix}"
    lines = [
        "[[csv]]",
        f"files = {_toml(pattern)}  # a pattern that fits these files and no others",
    ]
    lines += [f"{key} = {_toml(value)}" for key, value in fields.items()]
    lines += [
        f"# {key} = {example}"
        for key, example in _MISSING.items()
        if key not in fields and _is_open(key, fields)
    ]
    return "\n".join(lines)


def _is_open(key: str, fields: dict[str, Any]) -> bool:
    """Return whether a field would add information.

    A time column shows the rate, and a single column needs no separator.
    """
    if key == "fs":
        return "time" not in fields or fields["time"] == 0 or fields.get("time_unit") == "samples"
    if key == "time_unit":
        return fields.get("time") != 0
    if key == "separator":
        return "decimal" not in fields
    return True


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + " }"
        )
    # Strings, numbers and booleans look the same in TOML.
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
