"""How many rounds this site took part in lately, by its audit log: so a restart does not begin to count anew."""

import json
from datetime import datetime, timedelta
from pathlib import Path

DAY = timedelta(hours=24)


def rounds_in_a_day(audit: Path, now: datetime) -> int:
    """Trained weights that were sent in the 24 hours before `now`, which must know its time zone."""
    if not audit.is_file():
        return 0
    with audit.open("rb") as lines:
        return sum(_trained_after(line, now - DAY) for line in lines if b'"train"' in line)


def _trained_after(line: bytes, since: datetime) -> bool:
    """What is torn or tampered with is for `audit verify` to find."""
    try:
        entry = json.loads(line)
        return entry["event"] == "send" and entry["kind"] == "train" and datetime.fromisoformat(entry["time"]) > since
    except (ValueError, KeyError, TypeError):
        return False
