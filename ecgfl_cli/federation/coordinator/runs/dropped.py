"""Replies of sites that did not enter a model, and why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class DropCode(StrEnum):
    """Why a reply was dropped."""

    NO_ANSWER = "no-answer"
    REFUSED = "refused"
    FAILED = "failed"
    REVOKED = "key-revoked"
    INVALID = "invalid"
    OUTLIER = "outlier"
    UNKNOWN = "unknown"
    """In a report of an ecgfl that did not write the code."""


@dataclass(frozen=True)
class Dropped:
    """A reply that was dropped.

    Attributes
    ----------
    site
        Name of the site.
    code
        Why the reply was dropped, for programs.
    reason
        Why the reply was dropped, for people.
    """

    site: str
    code: DropCode
    reason: str

    def __str__(self) -> str:
        """Return the line for people."""
        return f"{self.site}: {self.reason}"


class UnusableReply(ValueError):
    """A reply cannot be used.

    Parameters
    ----------
    code : DropCode
        Why, for programs.
    reason : str
        Why, for people.
    """

    def __init__(self, code: DropCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def drop_code(error: Exception) -> DropCode:
    """Return the code for a reply that caused this error."""
    return error.code if isinstance(error, UnusableReply) else DropCode.INVALID


def with_lines(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the fields of a report for JSON.

    The field `name` keeps its lines for people. The dropped replies themselves are in a field
    beside it, `name` with "_replies" at its end.

    Parameters
    ----------
    fields : mapping
        Fields of a report, in which the field `name` holds dropped replies.
    name : str
        Name of the field.

    Returns
    -------
    dict
        The fields for JSON.
    """
    replies = [
        each if isinstance(each, Dropped) else Dropped(**each) for each in fields.get(name, [])
    ]
    return {
        **fields,
        name: [str(reply) for reply in replies],
        f"{name}_replies": [asdict(reply) for reply in replies],
    }


def without_lines(fields: Any, name: str) -> Any:
    """Return the fields of a report as read from JSON, the reverse of `with_lines`.

    A report of an earlier ecgfl has only the lines.

    Parameters
    ----------
    fields : mapping
        Fields of the JSON object. Anything else is returned as it is, for the caller to refuse.
    name : str
        Name of the field.
    """
    if not isinstance(fields, Mapping):
        return fields
    rest = dict(fields)
    replies = rest.pop(f"{name}_replies", None)
    if replies is not None:
        rest[name] = replies
    elif isinstance(rest.get(name), list):
        rest[name] = [_from_line(line) for line in rest[name]]
    return rest


def _from_line(line: Any) -> Any:
    """Convert a line such as "alice: no answer". Anything else is returned as it is."""
    if not isinstance(line, str):
        return line
    site, _, reason = line.partition(": ")
    return Dropped(site, DropCode.UNKNOWN, reason)
