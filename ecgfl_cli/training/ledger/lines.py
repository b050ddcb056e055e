"""The lines of the privacy ledger, and the cohorts that they describe."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ecgfl_cli.schemas import StrictModel
from ecgfl_cli.site.privacy_policy import Unit
from ecgfl_cli.training.ledger.accounting import Mechanism, epsilon_of

COHORT, RESERVE, RESTART = "cohort", "reserve", "restart"
"""Events of the ledger: patients of a new cohort, the cost of a training, and the first line of a
ledger that replaces a lost one."""

PATIENTS_IN_A_LINE = 500
"""Largest number of patients in a line. A larger cohort is written as several lines."""

CHAIN = ("time", "line", "event", "previous", "hash")

CohortNumber = Annotated[int, Field(ge=1)]


class CohortLine(StrictModel):
    """Patients of a cohort.

    Attributes
    ----------
    cohort : int
        Number of the cohort, from 1 on.
    patients : list of str
        Pseudonyms.
    secret : str
        First 16 digits of the SHA-256 of the secret that the pseudonyms are made with.
    exhausted : bool
        Whether the cohort has no budget, because the ledger that said what it spent was lost.
    """

    cohort: CohortNumber
    patients: Annotated[list[str], Field(min_length=1, max_length=PATIENTS_IN_A_LINE)]
    secret: str
    exhausted: bool = False


class ReserveLine(StrictModel):
    """Cost of a training.

    Attributes
    ----------
    request : str
        Identifier of the coordinator's request.
    run : str
        The run.
    round : int
        The round.
    cohorts : list of int
        The cohorts that pay.
    unit : {"patient", "row"}
        What is protected.
    mechanism : Mechanism
        The noise and the steps.
    epsilon, delta : float
        The budget of a cohort at that time.
    """

    request: str
    run: str
    round: int
    cohorts: list[CohortNumber]
    unit: Unit
    mechanism: Mechanism
    epsilon: float
    delta: float


@dataclass(frozen=True)
class Reservation:
    """A reserved training.

    Attributes
    ----------
    time : datetime
        When it was reserved.
    line : ReserveLine
        The line.
    """

    time: datetime
    line: ReserveLine


@dataclass(frozen=True)
class Cohort:
    """A cohort and what it has spent.

    Attributes
    ----------
    number : int
        Number of the cohort.
    since : datetime
        When it was formed.
    patients : frozenset of str
        Pseudonyms.
    reservations : tuple of Reservation
        The trainings that it paid for.
    is_exhausted : bool
        Whether it has no budget, because the ledger that said what it spent was lost.
    """

    number: int
    since: datetime
    patients: frozenset[str]
    reservations: tuple[Reservation, ...]
    is_exhausted: bool = False

    @property
    def mechanisms(self) -> list[Mechanism]:
        """Noise and steps of the trainings that it paid for."""
        return [reservation.line.mechanism for reservation in self.reservations]

    def has_other_unit(self, unit: Unit) -> bool:
        """Return whether it paid for a training that protects another unit.

        The protection of one unit says nothing simple about another: a patient has many rows, and
        a row can change the clipped gradient of its patient by twice the clip.
        """
        return any(reservation.line.unit != unit for reservation in self.reservations)

    def spent(self, unit: Unit, delta: float, further: Iterable[Mechanism] = ()) -> float:
        """Return the epsilon that is spent at `delta`, together with further trainings.

        It is infinite for a cohort whose ledger was lost, and for one that was trained on with
        another unit.
        """
        if self.is_exhausted or self.has_other_unit(unit):
            return math.inf
        return epsilon_of([*self.mechanisms, *further], delta)


def line_of(entry: dict[str, Any]) -> CohortLine | ReserveLine | None:
    """Return the content of a line; None for a line that is about the ledger itself.

    Raises
    ------
    pydantic.ValidationError
        A field is invalid.
    """
    fields = {name: value for name, value in entry.items() if name not in CHAIN}
    if entry["event"] == COHORT:
        return CohortLine.model_validate(fields)
    if entry["event"] == RESERVE:
        return ReserveLine.model_validate(fields)
    return None


def readable_lines(entries: Iterable[dict[str, Any]]) -> list[CohortLine | ReserveLine]:
    """Return the content of those lines of a damaged ledger that can be read."""
    lines = []
    for entry in entries:
        try:
            line = line_of({"event": None, **entry})
        except ValidationError:
            continue
        if line is not None:
            lines.append(line)
    return lines


def cohorts_of(lines: Iterable[tuple[datetime, CohortLine | ReserveLine]]) -> list[Cohort]:
    """Return the cohorts that the lines of a ledger, with their times, describe."""
    since: dict[int, datetime] = {}
    patients: dict[int, set[str]] = {}
    paid: dict[int, list[Reservation]] = {}
    exhausted: set[int] = set()
    for time, line in lines:
        if isinstance(line, CohortLine):
            since.setdefault(line.cohort, time)
            patients.setdefault(line.cohort, set()).update(line.patients)
            if line.exhausted:
                exhausted.add(line.cohort)
        else:
            for cohort in line.cohorts:
                paid.setdefault(cohort, []).append(Reservation(time, line))
    return [
        Cohort(
            number,
            since[number],
            frozenset(members),
            tuple(paid.get(number, ())),
            is_exhausted=number in exhausted,
        )
        for number, members in sorted(patients.items())
    ]
