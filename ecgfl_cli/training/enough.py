"""Check from the catalogue whether this site has enough data for training and measuring."""

from dataclasses import dataclass

from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.store.catalogue import RecordRow
from ecgfl_cli.training.dataset import rows_of

TRAINED_ON = ("N", "S", "V")
"""Classes of beats on which a network is trained and measured; F and Q are left out."""


@dataclass(frozen=True)
class Amount:
    """Amount of labelled data.

    Attributes
    ----------
    recordings
        Number of recordings.
    patients
        Number of patients.
    beats
        Number of beats of the classes `TRAINED_ON`. A beat counts once, not once for each lead.
    pvcs
        Number of PVCs among them.
    """

    recordings: int
    patients: int
    beats: int
    pvcs: int


def training_amount(home: Home) -> Amount:
    """Return the amount of training data."""
    return _amount(rows_of(home, "train"))


def held_out_amount(home: Home) -> Amount:
    """Return the amount of held-out data."""
    return _amount(rows_of(home, "held-out"))


def _amount(rows: list[RecordRow]) -> Amount:
    """Return the amount of data of some recordings."""
    return Amount(
        len(rows),
        len({row.patient for row in rows}),
        sum(row.counts.get(name, 0) for row in rows for name in TRAINED_ON),
        sum(row.counts.get("V", 0) for row in rows),
    )


def require_enough(home: Home, policy: Policy) -> None:
    """Raise `PolicyRefused` if there is less training data than the policy requires."""
    amount = training_amount(home)
    policy.require_at_least("recordings", amount.recordings, "min_training_recordings")
    policy.require_at_least("patients", amount.patients, "min_training_patients")
    policy.require_at_least("PVCs", amount.pvcs, "min_training_pvcs")
    policy.require_at_least("labelled beats", amount.beats, "min_training_beats")


def too_few_held_out(home: Home, policy: Policy) -> str | None:
    """Return why no figure of the held-out patients may leave this site; None if they may."""
    amount = held_out_amount(home)
    for unit, count, limit_name in (
        ("held-out patients", amount.patients, "min_held_out_patients"),
        ("beats of held-out patients", amount.beats, "min_held_out_beats"),
        ("PVCs of held-out patients", amount.pvcs, "min_held_out_pvcs"),
    ):
        if count < (limit := getattr(policy, limit_name)):
            return f"{count} {unit}, policy.{limit_name} = {limit}"
    return None
