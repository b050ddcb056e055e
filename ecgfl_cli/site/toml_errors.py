"""Error messages for settings files: every error with its line and the nearest valid name."""

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from ecgfl_cli.errors import UsageError
from ecgfl_cli.schemas import Fault

LONGEST_SHOWN = 200
"""Largest number of characters of a value in a message."""

MOST_SHOWN = 20
"""Largest number of errors in a message."""

MOST_LINES = 1000
"""Number of lines of a file in which the line of an error is searched."""


def settings_error(path: Path, schema: object, faults: Iterable[Fault]) -> UsageError:
    """Return an error that names every fault of a settings file.

    Parameters
    ----------
    path : Path
        The settings file, in TOML.
    schema : type
        Pydantic model or dataclass of the whole file; its names are suggested for unknown names.
    faults : iterable of Fault
        What is wrong in the file.
    """
    faults = list(faults)
    document = statements(_text(path))
    shown = [
        _described(fault, line_of(document, fault.location), schema)
        for fault in faults[:MOST_SHOWN]
    ]
    if len(faults) > MOST_SHOWN:
        shown.append(f"and {len(faults) - MOST_SHOWN} more")
    fix = "Correct or remove that line" if len(faults) == 1 else "Correct or remove these lines"
    if any(_is_contradiction(fault) for fault in faults):
        fix = "Change these settings"
    return UsageError(f"{path}: {'; '.join(shown)}", fix)


def statements(text: str) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the line number of each statement of a TOML document, and the document up to its end.

    A statement is a key with its value or the header of a table. Only the first `MOST_LINES` lines
    are read.
    """
    lines = text.split("\n")[:MOST_LINES]
    parsed: list[tuple[int, Mapping[str, Any]]] = []
    begin = None
    for number, line in enumerate(lines, 1):
        if begin is None and (not line.strip() or line.lstrip().startswith("#")):
            continue
        begin = begin or number
        try:
            parsed.append((begin, tomllib.loads("\n".join(lines[:number]))))
        except (ValueError, RecursionError):  # the value continues on the next line
            continue
        begin = None
    return parsed


def line_of(
    document: Sequence[tuple[int, Mapping[str, Any]]], location: Sequence[str | int]
) -> int | None:
    """Return the number of the line at which a value begins.

    Parameters
    ----------
    document : sequence of tuple
        As `statements` returns it.
    location : sequence of str and int
        Names and list indices that lead to the value. If it does not exist, that of its table is
        returned.

    Returns
    -------
    int or None
        The number, from 1 on; None if not even the first part of the location exists.
    """
    line, depth = None, 0
    for number, so_far in document:
        if (reached := _depth(so_far, location)) > depth:
            line, depth = number, reached
    return line


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):  # the errors are reported without line numbers
        return ""


def _depth(document: Any, location: Sequence[str | int]) -> int:
    """Return how many parts of a location exist in a document."""
    for depth, part in enumerate(location):
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return depth
    return len(location)


def _described(fault: Fault, number: int | None, schema: object) -> str:
    line = "" if number is None else f" (line {number})"
    hint = ""
    if fault.is_unknown_name:
        names = _names(schema, fault.location[:-1])
        nearest = difflib.get_close_matches(str(fault.location[-1]), names, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
    value = "" if _is_contradiction(fault) else f" = {_shown(fault.value)}"
    return f"{fault.field}{value}{line}: {fault.reason}{hint}"


def _is_contradiction(fault: Fault) -> bool:
    """Return whether the settings of a table contradict each other."""
    return isinstance(fault.value, Mapping) and not fault.is_unknown_name


def _names(schema: Any, location: Sequence[str | int]) -> list[str]:
    """Return the names of the fields of the model or dataclass at a location of a schema."""
    for part in location:
        schema = _field_type(schema, part)
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return [*schema.model_fields]
    if dataclasses.is_dataclass(schema):
        return [field.name for field in dataclasses.fields(schema)]
    return []


def _field_type(schema: Any, part: str | int) -> Any:
    """Return the type of a field, of the items of a list or of the values of a dictionary."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        field = schema.model_fields.get(str(part))
        schema = None if field is None else field.annotation
    else:
        schema = next(reversed(get_args(schema)), None)
    members = [member for member in get_args(schema) if member is not type(None)]
    return members[0] if len(members) == 1 and type(None) in get_args(schema) else schema


def _shown(value: object) -> str:
    """Return a value for a message. A number may have any length."""
    try:
        text = repr(value)
    except ValueError:  # more digits than Python converts
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
