"""What a schema has against a value, in words for a person."""

from collections.abc import Mapping
from typing import Any

FAULTS = {
    "extra_forbidden": "there is nothing of this name",
    "unexpected_keyword_argument": "there is nothing of this name",
    "missing": "it is missing",
}


def fault_in_words(fault: Mapping[str, Any]) -> str:
    """What is wrong with a value. fault : one of a pydantic `ValidationError`'s."""
    return FAULTS.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))


LARGEST_INTEGER, DEEPEST = 2**53, 32
"""Largest integer that every JSON reader keeps exactly, and deepest nesting."""


def require_bounded(value: object, depth: int = 0) -> None:
    """Raises `ValueError` for an integer or a nesting beyond these limits, which ecgfl itself never writes."""
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ValueError(f"an integer beyond {LARGEST_INTEGER}")
    parts = (
        value.values()
        if isinstance(value, dict)
        else value
        if isinstance(value, list | tuple)
        else ()
    )
    for part in parts:
        require_bounded(part, depth + 1)
