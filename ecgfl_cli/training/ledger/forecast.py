"""What each cohort has spent, and how many rounds it can still pay for."""

from dataclasses import dataclass
from datetime import datetime

from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.site.privacy_policy import PrivacyPolicy
from ecgfl_cli.training.dataset import rows_of
from ecgfl_cli.training.ledger.accounting import Mechanism, epsilon_of, epsilon_of_fixed_plan
from ecgfl_cli.training.ledger.budget import mechanism_of
from ecgfl_cli.training.ledger.ledger import PrivacyLedger
from ecgfl_cli.training.ledger.lines import Cohort

MOST_ROUNDS = 10_000
"""A forecast ends there."""


@dataclass(frozen=True)
class CohortBudget:
    """The budget of a cohort.

    Attributes
    ----------
    number : int or None
        Number of the cohort; None for patients who have not been trained on.
    since : datetime or None
        When the cohort was formed.
    patients : int
        Number of its patients who are in the store.
    rounds : int
        Number of rounds that it paid for.
    spent : float
        Epsilon that is spent; it decides.
    spent_by_fixed_plan : float
        Smaller epsilon that holds if all rounds were fixed in advance.
    left : float
        Epsilon that is left.
    rounds_left : int
        Number of further rounds with the present policy.
    """

    number: int | None
    since: datetime | None
    patients: int
    rounds: int
    spent: float
    spent_by_fixed_plan: float
    left: float
    rounds_left: int


def budgets(home: Home, policy: Policy) -> list[CohortBudget]:
    """Return the budget of each cohort, and of the patients who have none yet.

    Raises
    ------
    UnusableInput
        The ledger is damaged, lost or older than the audit log says.
    """
    assert policy.dp is not None
    privacy = policy.dp
    stored = {row.patient for row in rows_of(home, "train")}
    cohorts = PrivacyLedger(home).cohorts()
    rows = [_budget(cohort, privacy, len(cohort.patients & stored)) for cohort in cohorts]
    new = stored.difference(*(cohort.patients for cohort in cohorts))
    if new:
        rounds_left = rounds_within(privacy, [])
        rows.append(CohortBudget(None, None, len(new), 0, 0.0, 0.0, privacy.epsilon, rounds_left))
    return rows


def rounds_within(privacy: PrivacyPolicy, done: list[Mechanism]) -> int:
    """Return the number of further rounds that a cohort can pay for."""
    cost = mechanism_of(privacy)

    def is_affordable(rounds: int) -> bool:
        return epsilon_of([*done, *[cost] * rounds], privacy.delta) <= privacy.epsilon

    low, high = 0, 1
    while high <= MOST_ROUNDS and is_affordable(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_affordable(middle) else (low, middle)
    return min(low, MOST_ROUNDS)


def _budget(cohort: Cohort, privacy: PrivacyPolicy, patients: int) -> CohortBudget:
    done = [reservation.line.mechanism for reservation in cohort.reservations]
    spent = cohort.spent(privacy.delta)
    return CohortBudget(
        number=cohort.number,
        since=cohort.since,
        patients=patients,
        rounds=len(done),
        spent=spent,
        spent_by_fixed_plan=epsilon_of_fixed_plan(done, privacy.delta),
        left=max(0.0, privacy.epsilon - spent),
        rounds_left=rounds_within(privacy, done),
    )
