"""What each cohort has spent, for how many rounds it can still pay, and when it will be spent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ecgfl_cli.site.home import Home
from ecgfl_cli.site.privacy_policy import PrivacyPolicy
from ecgfl_cli.times import current_time
from ecgfl_cli.training.dataset import rows_of
from ecgfl_cli.training.ledger.accounting import Mechanism, epsilon_of, epsilon_of_fixed_plan
from ecgfl_cli.training.ledger.budget import mechanism_of
from ecgfl_cli.training.ledger.lines import Cohort

MOST_ROUNDS = 10_000
"""A forecast ends there."""

PACE_ROUNDS = 100
"""The pace is that of this number of last rounds, or of all if there were fewer."""

LEAST_PACE_TIME = timedelta(days=1)
"""Shortest time over which a pace is measured: a run has many rounds in one night."""

LONGEST_FORECAST = timedelta(days=36_500)


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
    spent : float or None
        Epsilon that is spent; it decides. None if it is unknown, because the ledger was lost or
        the policy's unit is another one than that of the rounds.
    spent_by_fixed_plan : float or None
        Smaller epsilon that holds if all rounds were fixed in advance.
    left : float
        Epsilon that is left.
    rounds_left : int
        Number of further rounds with the present policy.
    pace : float or None
        Rounds in a day, over the last `pace_rounds` rounds until now; None if there is too little
        history.
    pace_rounds : int
        Number of rounds of which the pace is.
    spent_on : date or None
        Day (UTC) on which the budget is spent at this pace; None without a pace.
    """

    number: int | None
    since: datetime | None
    patients: int
    rounds: int
    spent: float | None
    spent_by_fixed_plan: float | None
    left: float
    rounds_left: int
    pace: float | None = None
    pace_rounds: int = 0
    spent_on: date | None = None


@dataclass(frozen=True)
class SpentAfter:
    """What a cohort had spent after a round.

    Attributes
    ----------
    time : datetime
        When the round was reserved.
    epsilon : float
        Epsilon that was spent.
    """

    time: datetime
    epsilon: float


def budgets(home: Home, privacy: PrivacyPolicy, cohorts: Sequence[Cohort]) -> list[CohortBudget]:
    """Return the budget of each cohort, and of the patients who are in none yet.

    Parameters
    ----------
    home : Home
        Home of the site.
    privacy : PrivacyPolicy
        The budget of a cohort.
    cohorts : sequence of Cohort
        As `PrivacyLedger.cohorts` returns them.
    """
    stored = {row.patient for row in rows_of(home, "train")}
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


def pace_of(times: list[datetime], now: datetime) -> float | None:
    """Return the rounds in a day over the last rounds until now.

    Parameters
    ----------
    times : list of datetime
        When each round was reserved, oldest first.
    now : datetime
        The present time.

    Returns
    -------
    float or None
        None if there was no round, or the first of them was less than `LEAST_PACE_TIME` ago.
    """
    recent = times[-PACE_ROUNDS:]
    if not recent or now - recent[0] < LEAST_PACE_TIME:
        return None
    return len(recent) / ((now - recent[0]) / timedelta(days=1))


def history_of(cohort: Cohort, privacy: PrivacyPolicy, most: int) -> list[SpentAfter]:
    """Return what a cohort had spent after its rounds; of more than `most`, an even selection.

    It is empty if what the cohort has spent is unknown.
    """
    count = len(cohort.reservations)
    if cohort.is_exhausted or cohort.has_other_unit(privacy.unit):
        return []
    numbers = {count * (index + 1) // most for index in range(most)} if count > most else None
    chosen = sorted(numbers or range(1, count + 1))
    return [
        SpentAfter(
            cohort.reservations[number - 1].time,
            epsilon_of(cohort.mechanisms[:number], privacy.delta),
        )
        for number in chosen
    ]


def _budget(cohort: Cohort, privacy: PrivacyPolicy, patients: int) -> CohortBudget:
    done, now = cohort.mechanisms, current_time()
    spent = cohort.spent(privacy.unit, privacy.delta)
    if math.isinf(spent):
        return CohortBudget(cohort.number, cohort.since, patients, len(done), None, None, 0.0, 0)
    rounds_left = rounds_within(privacy, done)
    pace = pace_of([reservation.time for reservation in cohort.reservations], now)
    return CohortBudget(
        number=cohort.number,
        since=cohort.since,
        patients=patients,
        rounds=len(done),
        spent=spent,
        spent_by_fixed_plan=epsilon_of_fixed_plan(done, privacy.delta),
        left=max(0.0, privacy.epsilon - spent),
        rounds_left=rounds_left,
        pace=pace,
        pace_rounds=min(len(done), PACE_ROUNDS),
        spent_on=_spent_on(rounds_left, pace, now),
    )


def _spent_on(rounds_left: int, pace: float | None, now: datetime) -> date | None:
    """Return the day after which no round can be paid for; None if it is unknown or far off."""
    if pace is None or not 0 < rounds_left < MOST_ROUNDS:
        return None
    days = rounds_left / pace
    if days > LONGEST_FORECAST / timedelta(days=1):
        return None
    return (now + timedelta(days=days)).date()
