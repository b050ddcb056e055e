"""The result of one check."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ecgfl_cli.errors import EcgflError


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes
    ----------
    name
        What was checked.
    state
        What was found.
    problem
        What is wrong; None if nothing is.
    fix
        What to do about the problem.
    """

    name: str
    state: str
    problem: str | None = None
    fix: str = ""


def checked(name: str, look: Callable[[], str]) -> Iterator[Check]:
    """Run a check. look : returns the state, or raises `EcgflError` or `OSError`."""
    try:
        yield Check(name, look())
    except EcgflError as error:
        yield Check(name, "-", error.problem, error.fix)
    except OSError as error:
        yield Check(
            name,
            "-",
            f"{error.filename}: {error.strerror}",
            "Check that it exists and its permissions",
        )
