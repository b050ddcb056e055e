"""A strict base class for schemas, and the errors of a schema in words."""

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

LARGEST_INTEGER = 2**53
"""Largest integer that every JSON reader represents exactly."""

DEEPEST = 32
"""Largest number of nested levels."""

REASONS = {
    "extra_forbidden": "unknown name",
    "unexpected_keyword_argument": "unknown name",
    "missing": "missing",
}
"""Type of a pydantic error -> reason in words, where pydantic's own message is not for users."""


class StrictModel(BaseModel):
    """Base of schemas: immutable, without unknown fields, conversions, NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Fault(NamedTuple):
    """One error of a schema.

    Attributes
    ----------
    location : tuple of str and int
        Names and list indices that lead to the value; empty for the whole.
    value : object
        The value that was refused.
    reason : str
        What is wrong with it.
    is_unknown_name : bool
        Whether the schema has no field of this name.
    """

    location: tuple[str | int, ...]
    value: object
    reason: str
    is_unknown_name: bool = False

    @property
    def field(self) -> str:
        """The location as text, for instance "policy.max_rounds"."""
        return ".".join(str(part) for part in self.location)

    def __str__(self) -> str:
        """Return the field and the reason."""
        return f"{self.field}: {self.reason}" if self.location else self.reason


def faults(error: ValidationError, prefix: Sequence[str | int] = ()) -> list[Fault]:
    """Return every error of a schema.

    Parameters
    ----------
    error : ValidationError
        Of pydantic.
    prefix : sequence of str and int
        Location of the validated value in the document.
    """
    return [
        Fault(
            (*prefix, *each["loc"]),
            each["input"],
            REASONS.get(each["type"], each["msg"].removeprefix("Value error, ")),
            REASONS.get(each["type"]) == "unknown name",
        )
        for each in error.errors()
    ]


def first_fault(error: ValidationError) -> Fault:
    """Return the first error of a schema."""
    return faults(error)[0]


def require_bounded(value: object, depth: int = 0) -> None:
    """Raise `ValueError` if an integer or the nesting of a value exceeds what ecgfl ever writes."""
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ValueError(f"an integer beyond {LARGEST_INTEGER}")
    parts: Sequence[object] = ()
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list | tuple):
        parts = value
    for part in parts:
        require_bounded(part, depth + 1)
