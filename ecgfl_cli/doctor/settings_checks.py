"""Check site.toml: whether the policy suits this machine and the scheduled joins."""

import os
from collections.abc import Iterator

from ecgfl_cli.doctor.check import Check, checked
from ecgfl_cli.errors import EcgflError, UnusableInput
from ecgfl_cli.federation.site.policy_checks import check_hours, check_policy
from ecgfl_cli.schedule.scheduled import scheduled
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.settings import load_settings


def check_settings(home: Home) -> Iterator[Check]:
    """Check the policy with its differential privacy, and the scheduled joins against it."""
    yield from checked("policy", lambda: _policy(home))
    yield from checked("differential privacy", lambda: _privacy(home))
    yield from checked("schedule", lambda: _schedule(home))


def _policy(home: Home) -> str:
    """Describe the policy.

    Values weaker than the defaults are not a problem, because the site may want them.
    """
    policy = load_settings(home.settings).policy
    check_policy(policy, home.settings)
    cores = os.cpu_count() or 1
    if policy.cpu_threads > cores:
        raise UnusableInput(
            f"{home.settings}: policy.cpu_threads = {policy.cpu_threads}, but this machine has "
            f"{cores}",
            f"Set it to at most {cores}",
        )
    weaker = [value for value in policy.weaker_than_default() if not value.startswith("dp.")]
    note = f"; weaker than the default: {', '.join(weaker)}" if weaker else ""
    return (
        f"{', '.join(policy.architectures) or 'no training'}, {policy.hours or 'at any hour'}{note}"
    )


def _privacy(home: Home) -> str:
    """Describe [policy.dp]. Without it nothing is wrong, but what that means is said."""
    policy = load_settings(home.settings).policy
    if policy.dp is None:
        figures = f"{len(policy.metrics)} kinds of figures" if policy.metrics else "no figures"
        return (
            "weaker than recommended: no [policy.dp], so that weights and exact figures leave "
            f"without noise ({figures} in policy.metrics)"
        )
    weaker = policy.dp.weaker_than_default()
    note = f"; weaker than recommended: {', '.join(weaker)}" if weaker else ""
    return (
        f"each {policy.dp.unit}: epsilon {policy.dp.epsilon:g} at delta {policy.dp.delta:g}, "
        f"{policy.dp.trained}{note}"
    )


def _schedule(home: Home) -> str:
    """Check the scheduled joins that this user is allowed to see."""
    try:
        settings = load_settings(home.settings)
    except EcgflError:
        return "not checked"  # the check "settings" reports the problem
    nights = scheduled(home.root, settings.site.name)
    for night in nights:
        check_hours(
            settings.policy,
            home.settings,
            night.hour,
            night.minute,
            night.delay_minutes,
            night.where,
        )
    return (
        "; ".join(f"{night.hour:02}:{night.minute:02} ({night.where})" for night in nights)
        or "none found"
    )
