"""How many rounds this site took part in, by its audit log: so a restart does not begin to count anew."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

DAY = timedelta(hours=24)


def rounds_in_a_day(audit: Path, now: datetime) -> int:
    """Trained weights that were sent in the 24 hours before `now`, which must know its time zone."""
    return _trained(audit, lambda entry: datetime.fromisoformat(entry["time"]) > now - DAY)


def rounds_in_run(audit: Path, run: str) -> int:
    """Trained weights that were sent in a run."""
    return _trained(audit, lambda entry: entry["run"] == run)


def _trained(audit: Path, counts: Callable[[dict[str, Any]], bool]) -> int:
    if not audit.is_file():
        return 0
    with audit.open("rb") as lines:
        return sum(_is_trained(line, counts) for line in lines if b'"train"' in line)


def _is_trained(line: bytes, counts: Callable[[dict[str, Any]], bool]) -> bool:
    """What is torn or tampered with is for `audit verify` to find."""
    try:
        entry = json.loads(line)
        return entry["event"] == "send" and entry["kind"] == "train" and counts(entry)
    except (ValueError, KeyError, TypeError):
        return False
