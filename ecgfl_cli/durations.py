"""Lengths of time as people write them."""

import re

DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


def seconds_of(text: str) -> float:
    """Seconds of "90", "90s", "15m", "2h" or "1d". Raises `ValueError`."""
    found = DURATION.match(text)
    if not found:
        raise ValueError(f"{text!r} is no duration; write 90s, 15m, 2h or 1d")
    return float(found[1]) * SECONDS[found[2]]
