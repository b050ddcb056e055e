"""One thing that was checked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ecgfl_cli.errors import EcgflError


@dataclass(frozen=True)
class Check:
    """name : what was checked.

    state : what was found. problem : None where all is well. fix : what to do then.
    """

    name: str
    state: str
    problem: str | None = None
    fix: str = ""


def checked(name: str, look: Callable[[], str]) -> Iterator[Check]:
    """A check by something that says what it found, or raises `EcgflError` or `OSError`."""
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
