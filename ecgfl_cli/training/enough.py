"""Whether there is enough to train on for this site's policy."""

from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.training.dataset import training_rows


def require_enough(home: Home, policy: Policy) -> None:
    """By what the catalogue counts; nobody's beats are looked at for that. Raises `PolicyRefused`."""
    rows = training_rows(home)
    policy.require_at_least("recordings", len(rows), "min_training_recordings")
    policy.require_at_least("patients", len({row.patient for row in rows}), "min_training_patients")
    policy.require_at_least("PVCs", sum(row.counts.get("V", 0) for row in rows), "min_training_pvcs")
