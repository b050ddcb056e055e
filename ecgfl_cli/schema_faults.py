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
