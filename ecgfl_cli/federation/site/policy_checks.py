"""Checks [policy] of site.toml against the architectures of this program and the time at which `join` is scheduled."""

from datetime import datetime, timedelta
from pathlib import Path

from ecgfl_cli.errors import UsageError
from ecgfl_cli.models.architecture import names
from ecgfl_cli.site.policy import Policy


def check_policy(policy: Policy, settings: Path) -> None:
    """Raises `UsageError` when the policy names an architecture that this program does not have."""
    if unknown := [name for name in policy.architectures if name not in names()]:
        raise UsageError(
            f"{settings}: policy.architectures names {', '.join(map(repr, unknown))}, which this ecgfl does not have",
            f"Correct or remove it; the architectures are {', '.join(names())}",
        )


def check_hours(
    policy: Policy, settings: Path, hour: int, minute: int, delay_minutes: int, where: str
) -> None:
    """Raises `UsageError` when `join --once`, started at this time of day, would begin outside policy.hours.

    delay_minutes : longest delay that the scheduler may add, in minutes. where : what starts the join, for the message.
    """
    hours = policy.training_hours
    if hours is None:
        return
    start = datetime(2000, 1, 1, hour, minute)
    for moment in (start, start + timedelta(minutes=delay_minutes)):
        if hours.wait_from(moment):
            delay = f", up to {delay_minutes} minutes later," if delay_minutes else ""
            raise UsageError(
                f'{where}: a join that starts at {hour:02}:{minute:02}{delay} is outside policy.hours = "{policy.hours}" in'
                f" {settings}: it would be refused every time",
                f"Schedule it within these hours, for instance --at {hours.start:%H:%M}, or change policy.hours",
            )
