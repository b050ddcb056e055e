"""Check [policy] of site.toml: the names of architectures, and the time of a scheduled `join`."""

from datetime import datetime, timedelta
from pathlib import Path

from ecgfl_cli.errors import UsageError
from ecgfl_cli.models.architecture import names
from ecgfl_cli.site.policy import Policy


def check_policy(policy: Policy, settings: Path) -> None:
    """Check that this program has the architectures that a policy names.

    Parameters
    ----------
    policy
        Policy of the site.
    settings
        Its file, for the message.

    Raises
    ------
    UsageError
        The policy names an unknown architecture.
    """
    if unknown := [name for name in policy.architectures if name not in names()]:
        raise UsageError(
            f"{settings}: policy.architectures names {', '.join(map(repr, unknown))}, which this"
            " ecgfl does not have",
            f"Correct or remove it; the architectures are {', '.join(names())}",
        )


def check_hours(
    policy: Policy, settings: Path, hour: int, minute: int, delay_minutes: int, where: str
) -> None:
    """Check that a `join --once`, started at this time of day, begins within policy.hours.

    Parameters
    ----------
    policy
        Policy of the site.
    settings
        Its file, for the message.
    hour, minute
        Time of day at which the join starts, in local time.
    delay_minutes
        Longest delay that the scheduler may add, in minutes.
    where
        What starts the join, for the message.

    Raises
    ------
    UsageError
        The join would start outside policy.hours.
    """
    hours = policy.training_hours
    if hours is None:
        return
    start = datetime(2000, 1, 1, hour, minute)
    for moment in (start, start + timedelta(minutes=delay_minutes)):
        if hours.wait_from(moment):
            delay = f", up to {delay_minutes} minutes later," if delay_minutes else ""
            raise UsageError(
                f"{where}: a join that starts at {hour:02}:{minute:02}{delay} is outside"
                f' policy.hours = "{policy.hours}" in {settings}: it would be refused every time',
                f"Schedule it within these hours, for instance --at {hours.start:%H:%M}, or change"
                " policy.hours",
            )
