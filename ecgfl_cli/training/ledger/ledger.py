"""privacy.jsonl: what each training of this site cost, as a chain of lines.

The ledger has the format of the audit log. A training is reserved before it begins, and a
reservation is never taken back. The audit log records the head of the ledger after each
reservation, so that a ledger that was deleted, shortened or replaced by an older one is found.

Patients are counted in cohorts: those who are in the store when a training begins and were not
there before form a new cohort. A patient belongs to one cohort for ever, so the privacy loss of
one cohort says nothing about another (parallel composition), and each has a budget of its own.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ecgfl_cli.errors import PolicyRefused, UnusableInput, UsageError
from ecgfl_cli.schemas import first_fault
from ecgfl_cli.site.audit import AuditEntries, AuditLog, checked_reason
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.privacy_policy import PrivacyPolicy
from ecgfl_cli.times import time_of
from ecgfl_cli.training.ledger.accounting import Mechanism, epsilon_of
from ecgfl_cli.training.ledger.lines import (
    COHORT,
    PATIENTS_IN_A_LINE,
    RESERVE,
    RESTART,
    Cohort,
    CohortLine,
    ReserveLine,
    cohorts_of,
    line_of,
    readable_lines,
)
from ecgfl_cli.training.ledger.witness import (
    LEDGER_LOST,
    LEDGER_RESTARTED,
    RESERVED,
    Note,
    carried_over,
    fields_of,
    hashes_of,
    last_note,
)

RESTORE = (
    "Restore privacy.jsonl and privacy.head from a backup that was made after the last training "
    "with differential privacy, and leave audit.jsonl as it is. Without such a backup, "
    "`ecgfl privacy --restart REASON` begins a new ledger, in which no patient of today has budget "
    "left"
)

Patients = Mapping[str, Collection[str]]
"""Pseudonym of a patient -> other pseudonyms that the same patient had before."""


class PrivacyLedger:
    """The ledger of a site. To reserve or to restart, hold the lock of the home.

    Parameters
    ----------
    home : Home
        Home of the site.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._log = AuditLog(home.privacy, traces=(), fix=RESTORE)
        self._audit = AuditLog(home.audit)

    def cohorts(self) -> list[Cohort]:
        """Check the ledger, and return its cohorts.

        Raises
        ------
        UnusableInput
            The ledger is damaged, lost or older than the audit log says.
        """
        entries = self._log.entries()
        note = last_note(self._audit.entries())
        if note is not None and not note.agrees_with(hashes_of(entries)):
            raise self._lost(note, len(entries))
        self._require_secret(entries)
        return cohorts_of(self._lines(entries))

    def require(
        self, policy: PrivacyPolicy, mechanism: Mechanism, patients: Patients, least: int = 1
    ) -> set[str]:
        """Return those of the patients whose cohort can pay for a training.

        Parameters
        ----------
        policy : PrivacyPolicy
            The budget.
        mechanism : Mechanism
            Noise and steps of the training.
        patients : mapping of str to collection of str
            Pseudonym of each training patient, with the other pseudonyms of the same patient.
        least : int
            Least number of patients who can pay.

        Raises
        ------
        PolicyRefused
            Fewer patients can pay.
        UnusableInput
            The ledger is damaged, lost or older than the audit log says.
        """
        return _payers(self.cohorts(), policy, mechanism, patients, least)

    def reserve(
        self,
        policy: PrivacyPolicy,
        mechanism: Mechanism,
        patients: Patients,
        request: str,
        run: str,
        this_round: int,
        least: int = 1,
    ) -> set[str]:
        """Reserve a training, and wait until the reservation is on the disk.

        Parameters
        ----------
        policy, mechanism, patients, least
            As for `require`.
        request, run, this_round
            For which request.

        Returns
        -------
        set of str
            The patients that may be trained on.

        Raises
        ------
        PolicyRefused, UnusableInput
            As for `require`. Nothing is spent.
        """
        cohorts = self.cohorts()
        payers = _payers(cohorts, policy, mechanism, patients, least)
        paying = [cohort.number for cohort in cohorts if cohort.patients & payers]
        new = payers.difference(*(cohort.patients for cohort in cohorts))
        if new:
            number = max((cohort.number for cohort in cohorts), default=0) + 1
            paying.append(number)
            for members in self._cohort_lines(number, new):
                self._log.append(COHORT, **members.model_dump())
        line = ReserveLine(
            request=request,
            run=run,
            round=this_round,
            cohorts=paying,
            unit=policy.unit,
            mechanism=mechanism,
            epsilon=policy.epsilon,
            delta=policy.delta,
        )
        self._log.append(RESERVE, **line.model_dump())
        self._audit.append(
            RESERVED,
            request=request,
            run=run,
            round=this_round,
            cohorts=paying,
            **fields_of(self._log.last()),
        )
        return payers

    def restart(self, reason: str, patients: Collection[str]) -> tuple[Path | None, int]:
        """Begin a new ledger, in which the patients that are known have no budget left.

        It replaces a ledger that is lost or damaged, or one that is empty, in a new home whose
        patients were trained on in an older home.

        Parameters
        ----------
        reason : str
            What happened to the ledger, in the user's words.
        patients : collection of str
            Pseudonyms of all patients in the store, also earlier ones. Those in the part of the old
            ledger that can be read are added.

        Returns
        -------
        kept : Path or None
            New path of the old ledger; None if it was lost.
        patients : int
            Number of pseudonyms without budget.

        Raises
        ------
        UsageError
            The ledger is whole and not empty, or the reason is empty.
        UnusableInput
            The audit log is damaged, or the secret is another one. Nothing was changed.
        """
        reason = checked_reason(reason)
        note = last_note(self._audit.entries())
        _, old = AuditEntries(self._home.privacy).new()
        self._require_secret(old)
        problem = self._problem()
        if problem is None:
            raise UsageError(
                f"{self._log.path}: the ledger is whole, nothing was changed",
                "`ecgfl privacy` shows the budget",
            )
        known = set(patients)
        for line in readable_lines(old):
            known |= set(line.patients) if isinstance(line, CohortLine) else set()
        lost = fields_of(None) if note is None else note.fields
        self._audit.append(LEDGER_LOST, reason=reason, problem=problem, **lost)
        kept = self._log.replace(
            RESTART,
            {"reason": reason, "problem": problem},
            [
                (COHORT, line.model_dump())
                for line in self._cohort_lines(1, known, is_exhausted=True)
            ],
        )
        self._audit.append(
            LEDGER_RESTARTED,
            reason=reason,
            patients=len(known),
            kept=None if kept is None else kept.name,
            **fields_of(self._log.last()),
        )
        return kept, len(known)

    def carried_over(self) -> dict[str, Any] | None:
        """Return what a new audit log must say about this ledger; see `witness.carried_over`."""
        return carried_over(self._home, self._log)

    def _cohort_lines(
        self, number: int, patients: Collection[str], *, is_exhausted: bool = False
    ) -> Iterator[CohortLine]:
        members, secret = sorted(patients), self._secret()
        for begin in range(0, len(members), PATIENTS_IN_A_LINE):
            yield CohortLine(
                cohort=number,
                patients=members[begin : begin + PATIENTS_IN_A_LINE],
                secret=secret,
                exhausted=is_exhausted,
            )

    def _lines(
        self, entries: Sequence[dict[str, Any]]
    ) -> Iterator[tuple[datetime, CohortLine | ReserveLine]]:
        for entry in entries:
            try:
                line = line_of(entry)
            except ValidationError as error:
                raise UnusableInput(
                    f"{self._log.path}: line {entry['line']}: {first_fault(error)}", RESTORE
                ) from error
            if line is not None:
                yield time_of(entry["time"]), line

    def _problem(self) -> str | None:
        """Return why the ledger may be replaced, or None."""
        try:
            cohorts = self.cohorts()
        except UnusableInput as error:
            return error.problem
        return None if cohorts else f"{self._log.path}: no patient is in it"

    def _lost(self, note: Note, lines: int) -> UnusableInput:
        """Return the error that the ledger is not the one that the audit log names."""
        if note.head is None:
            return UnusableInput(
                f"{self._log.path}: missing or empty; the audit log was restarted or the ledger "
                f"was lost at {note.time[:19]}Z, and it is unknown what this site had spent",
                RESTORE,
            )
        return UnusableInput(
            f"{self._log.path}: {lines} lines; the audit log names a ledger of {note.head.lines} "
            f"lines that ends in {note.head.hash[:16]}, which this one does not have",
            RESTORE,
        )

    def _require_secret(self, entries: Sequence[dict[str, Any]]) -> None:
        """Raise `UnusableInput` if the pseudonyms of a cohort were made with another secret."""
        secret = self._secret()
        if any(entry.get("event") == COHORT and entry.get("secret") != secret for entry in entries):
            raise UnusableInput(
                f"{self._home.secret}: not the secret that the cohorts of {self._log.path.name} "
                "were formed with, so it is unknown what its patients have spent",
                f"Restore {self._home.secret} from the backup. Without one, make a new home with "
                "`ecgfl --home NEW init --site NAME` and ingest there only patients who were never "
                "in this home",
            )

    def _secret(self) -> str:
        return hashlib.sha256(b"ecgfl.ledger/1\n" + self._home.secret.read_bytes()).hexdigest()[:16]


def _payers(
    cohorts: Sequence[Cohort],
    policy: PrivacyPolicy,
    mechanism: Mechanism,
    patients: Patients,
    least: int,
) -> set[str]:
    """Return the patients whose cohort can pay for a training.

    A patient without a cohort can, because new patients form a new one. A patient who was counted
    under another pseudonym before cannot, because what was spent on both adds up.
    """
    cost = epsilon_of([mechanism], policy.delta)
    if cost > policy.epsilon:
        raise PolicyRefused(
            f"one round costs epsilon {cost:.4g}, which is more than the whole budget, "
            f"policy.dp.epsilon = {policy.epsilon:g}",
            "In site.toml, raise policy.dp.noise_multiplier, or lower policy.dp.steps or "
            "policy.dp.sampling",
        )
    counted: set[str] = set().union(*(cohort.patients for cohort in cohorts))
    unable: set[str] = set().union(
        *(
            cohort.patients
            for cohort in cohorts
            if cohort.spent(policy.unit, policy.delta, [mechanism]) > policy.epsilon
        )
    )
    payers = {
        patient
        for patient, others in patients.items()
        if patient not in unable and counted.isdisjoint(others)
    }
    if len(payers) >= least:
        return payers
    if any(cohort.has_other_unit(policy.unit) for cohort in cohorts):
        raise PolicyRefused(
            f"{len(payers)} of {len(patients)} training patients can pay for a round with "
            f'policy.dp.unit = "{policy.unit}", and {least} are needed '
            "(policy.min_training_patients): the others were trained on with another unit, which "
            "does not add up",
            "Set policy.dp.unit in site.toml back to what it was, or ingest recordings of new "
            "patients",
        )
    raise PolicyRefused(
        f"the privacy budget is spent: {len(payers)} of {len(patients)} training patients have "
        f"enough left of policy.dp.epsilon = {policy.epsilon:g} for another round, and "
        f"{least} are needed (policy.min_training_patients)",
        "Ingest recordings of new patients, who bring a budget of their own; `ecgfl privacy` shows "
        "what each cohort has spent",
    )
