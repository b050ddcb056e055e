"""privacy.jsonl: what each training of this site cost, as a chain of lines.

The ledger has the format of the audit log. A training is reserved before it begins, and a
reservation is never taken back. The audit log records the head of the ledger after each
reservation, so that a ledger that was deleted, shortened or replaced by an older one is found.

Patients are counted in cohorts: those who are in the store when a training begins and were not
there before form a new cohort. A patient belongs to one cohort for ever, so the privacy loss of
one cohort says nothing about another (parallel composition), and each has a budget of its own.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ecgfl_cli.errors import PolicyRefused, UnusableInput
from ecgfl_cli.schemas import StrictModel, first_fault
from ecgfl_cli.site.audit import FIRST, AuditLog, Head
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.privacy_policy import PrivacyPolicy, Unit
from ecgfl_cli.times import time_of
from ecgfl_cli.training.ledger.accounting import Mechanism, epsilon_of

COHORT, RESERVE = "cohort", "reserve"
"""Events of the ledger: patients of a new cohort, and the cost of a training."""

RESERVED = "privacy-reserved"
"""Event of the audit log: the head of the ledger after a reservation."""

PATIENTS_IN_A_LINE = 500
"""A cohort of more patients takes several lines."""

RESTORE = (
    "Restore privacy.jsonl and privacy.head from the newest backup, together with audit.jsonl and "
    "audit.head"
)

CHAIN = ("time", "line", "event", "previous", "hash")

Patients = Mapping[str, Collection[str]]
"""Pseudonym of a patient -> other pseudonyms that the same patient had before."""

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
    """

    cohort: CohortNumber
    patients: Annotated[list[str], Field(min_length=1, max_length=PATIENTS_IN_A_LINE)]
    secret: str


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
    """

    number: int
    since: datetime
    patients: frozenset[str]
    reservations: tuple[Reservation, ...]

    def spent(self, delta: float, further: Iterable[Mechanism] = ()) -> float:
        """Return the epsilon that is spent at `delta`, together with further trainings."""
        done = [reservation.line.mechanism for reservation in self.reservations]
        return epsilon_of([*done, *further], delta)


class PrivacyLedger:
    """The ledger of a site. To reserve, hold the lock of the home.

    Parameters
    ----------
    home : Home
        Home of the site.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._log = AuditLog(home.privacy, restart=None, traces=())
        self._audit = AuditLog(home.audit)

    def cohorts(self) -> list[Cohort]:
        """Check the ledger, and return its cohorts.

        Raises
        ------
        UnusableInput
            The ledger is damaged, lost or older than the audit log says.
        """
        entries = self._entries()
        since: dict[int, datetime] = {}
        patients: dict[int, set[str]] = {}
        paid: dict[int, list[Reservation]] = {}
        for entry in entries:
            line, time = self._line(entry), time_of(entry["time"])
            if isinstance(line, CohortLine):
                since.setdefault(line.cohort, time)
                patients.setdefault(line.cohort, set()).update(line.patients)
            else:
                for cohort in line.cohorts:
                    paid.setdefault(cohort, []).append(Reservation(time, line))
        return [
            Cohort(number, since[number], frozenset(members), tuple(paid.get(number, ())))
            for number, members in sorted(patients.items())
        ]

    def affordable(
        self, policy: PrivacyPolicy, mechanism: Mechanism, patients: Patients
    ) -> set[str]:
        """Return those of the patients whose cohort can pay for a training.

        A patient without a cohort can: new patients form a new one. A patient who was counted
        under another pseudonym before cannot, because what was spent on both adds up.
        """
        counted: set[str] = set()
        broke: set[str] = set()
        for cohort in self.cohorts():
            counted |= cohort.patients
            if cohort.spent(policy.delta, [mechanism]) > policy.epsilon:
                broke |= cohort.patients
        return {
            patient
            for patient, others in patients.items()
            if patient not in broke and counted.isdisjoint(others)
        }

    def reserve(
        self,
        policy: PrivacyPolicy,
        mechanism: Mechanism,
        patients: Patients,
        request: str,
        run: str,
        this_round: int,
    ) -> set[str]:
        """Reserve a training, and wait until the reservation is on the disk.

        Parameters
        ----------
        policy : PrivacyPolicy
            The budget.
        mechanism : Mechanism
            Noise and steps of the training.
        patients : mapping of str to collection of str
            Pseudonym of each training patient, with the other pseudonyms of the same patient.
        request, run, this_round
            For which request.

        Returns
        -------
        set of str
            The patients that may be trained on.

        Raises
        ------
        PolicyRefused
            No cohort can pay. Nothing is spent.
        UnusableInput
            The ledger is damaged, lost or older than the audit log says. Nothing is spent.
        """
        allowed = self.affordable(policy, mechanism, patients)
        if not allowed:
            raise budget_spent(policy)
        self._form_cohort(allowed)
        cohorts = [cohort.number for cohort in self.cohorts() if cohort.patients & allowed]
        line = ReserveLine(
            request=request,
            run=run,
            round=this_round,
            cohorts=cohorts,
            unit=policy.unit,
            mechanism=mechanism,
            epsilon=policy.epsilon,
            delta=policy.delta,
        )
        self._log.append(RESERVE, **line.model_dump())
        head = self._log.last()
        self._audit.append(
            RESERVED,
            request=request,
            run=run,
            round=this_round,
            cohorts=cohorts,
            lines=head.lines,
            head=head.hash,
        )
        return allowed

    def _form_cohort(self, patients: Collection[str]) -> None:
        """Let those of the patients who have no cohort form a new one."""
        cohorts = self.cohorts()
        known: set[str] = set().union(*(cohort.patients for cohort in cohorts))
        new = sorted(set(patients) - known)
        number = max((cohort.number for cohort in cohorts), default=0) + 1
        for begin in range(0, len(new), PATIENTS_IN_A_LINE):
            members = new[begin : begin + PATIENTS_IN_A_LINE]
            line = CohortLine(cohort=number, patients=members, secret=self._secret())
            self._log.append(COHORT, **line.model_dump())

    def _entries(self) -> list[dict[str, Any]]:
        """Check the ledger against its head and the audit log, and return its lines."""
        lines = self._log.entries()
        entries = [entry for entry in lines if entry["event"] in (COHORT, RESERVE)]
        noted = self._noted()
        hashes = {0: FIRST} | {entry["line"]: entry["hash"] for entry in lines}
        if noted is not None and hashes.get(noted.lines) != noted.hash:
            raise UnusableInput(
                f"{self._log.path}: {len(hashes) - 1} lines; the audit log names a ledger of "
                f"{noted.lines} lines that ends in {noted.hash[:16]}, which this one does not have",
                RESTORE,
            )
        secret = self._secret()
        for entry in entries:
            if entry["event"] == COHORT and entry.get("secret") != secret:
                raise UnusableInput(
                    f"{self._home.secret}: not the secret that the cohorts of "
                    f"{self._log.path.name} were formed with, so it is unknown what its patients "
                    "have spent",
                    f"Restore {self._home.secret} from the backup",
                )
        return entries

    def _noted(self) -> Head | None:
        """Return the head of the ledger that the audit log noted last."""
        for entry in reversed(self._audit.entries()):
            if entry["event"] == RESERVED:
                return Head(entry["lines"], entry["head"])
        return None

    def _line(self, entry: dict[str, Any]) -> CohortLine | ReserveLine:
        fields = {name: value for name, value in entry.items() if name not in CHAIN}
        schema = CohortLine if entry["event"] == COHORT else ReserveLine
        try:
            return schema.model_validate(fields)
        except ValidationError as error:
            raise UnusableInput(
                f"{self._log.path}: line {entry['line']}: {first_fault(error)}", RESTORE
            ) from error

    def _secret(self) -> str:
        return hashlib.sha256(b"ecgfl.ledger/1\n" + self._home.secret.read_bytes()).hexdigest()[:16]


def budget_spent(policy: PrivacyPolicy) -> PolicyRefused:
    """Return the error that no patient has budget left."""
    return PolicyRefused(
        f"the privacy budget is spent: no cohort of patients has enough left of policy.dp.epsilon "
        f"= {policy.epsilon:g} for another round",
        "Ingest recordings of new patients, who bring a budget of their own; `ecgfl privacy` shows "
        "what each cohort has spent",
    )
