"""Check the readable formats, and whether recordings and budget suffice for training."""

from collections.abc import Iterator

from ecgfl_adapters.registry import installed

from ecgfl_cli.doctor.check import Check, checked
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.quality.limits import limits_of
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.settings import load_settings
from ecgfl_cli.store.catalogue import open_catalogue
from ecgfl_cli.training.enough import (
    held_out_amount,
    require_enough,
    too_few_held_out,
    training_amount,
)
from ecgfl_cli.training.ledger.budget import PrivacyBudget
from ecgfl_cli.training.ledger.forecast import CohortBudget, budgets
from ecgfl_cli.training.ledger.ledger import PrivacyLedger

MOST_COHORTS = 3
"""Number of cohorts whose budget is shown, those with the largest first."""


def check_data(home: Home) -> Iterator[Check]:
    """Check the recordings and the privacy budget, and whether they suffice for training."""
    yield from check_adapters()
    yield from checked("limits", lambda: _limits(home))
    yield from checked("recordings", lambda: _recordings(home))
    yield from checked("held-out patients", lambda: _held_out(home))
    yield from checked("privacy budget", lambda: _budget(home))


def check_adapters() -> Iterator[Check]:
    """Yield a check for each installed file format, including those of other packages."""
    found = installed()
    for name, adapter in found.adapters.items():
        yield Check(f"format {name}", f"{type(adapter).__module__}.{type(adapter).__qualname__}")
    for name, problem in found.broken.items():
        yield Check(
            f"format {name}",
            "-",
            problem,
            f"Install the package of the adapter {name!r} again, or remove it",
        )


def _budget(home: Home) -> str:
    """Check the privacy ledger, and whether enough patients have budget for a round."""
    policy = load_settings(home.settings).policy
    if policy.dp is None:
        return "not counted: no [policy.dp]"
    known = PrivacyLedger(home).cohorts()
    if not home.catalogue.exists():
        return f"{len(known)} cohorts, no recordings"
    rows = budgets(home, policy.dp, known)
    PrivacyBudget(home, policy).require()
    largest = sorted(rows, key=lambda row: -row.left)[:MOST_COHORTS]
    cohorts = ", ".join(
        f"{_name(row)} {row.left:.2f} left ({row.rounds_left} rounds)" for row in largest
    )
    more = f", {len(rows) - MOST_COHORTS} further cohorts" if len(rows) > MOST_COHORTS else ""
    return f"epsilon {policy.dp.epsilon:g}: {cohorts}{more}"


def _name(row: CohortBudget) -> str:
    return "new patients" if row.number is None else f"cohort {row.number}"


def _limits(home: Home) -> str:
    settings = load_settings(home.settings)
    limits_of(home.settings, settings.limits)
    return f"{len(settings.limits)} of this site's own"


def _recordings(home: Home) -> str:
    rows = []
    if home.catalogue.exists():  # to open one that is not there would make it
        with open_catalogue(home.catalogue) as catalogue:
            rows = catalogue.rows()
    usable = [row for row in rows if row.status == "usable"]
    if not usable:
        raise UnusableInput(
            f"none of {len(rows)} recordings is usable and labelled",
            "Run `ecgfl ingest PATH`; `ecgfl dataset list` says what is wrong with those that are "
            "there",
        )
    require_enough(home, load_settings(home.settings).policy)
    there = training_amount(home)
    return (
        f"{len(usable)} of {len(rows)} usable; "
        f"{there.patients} patients, {there.beats} beats, {there.pvcs} PVCs to train on"
    )


def _held_out(home: Home) -> str:
    """Describe the held-out data.

    Too little is not a problem: the site still takes part, and its figures stay here.
    """
    if not home.catalogue.exists():
        return "none"
    problem = too_few_held_out(home, load_settings(home.settings).policy)
    there = held_out_amount(home)
    amount = f"{there.patients} patients, {there.beats} beats, {there.pvcs} PVCs"
    return (
        amount if problem is None else f"{amount}: too few, so no figure of them leaves ({problem})"
    )
