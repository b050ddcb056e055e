"""Find the nightly joins that are scheduled on this machine and visible to this user."""

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.schedule.crontab import CRONTAB_SECONDS
from ecgfl_cli.schedule.systemd import RANDOM_DELAY_MINUTES

UNITS = Path("/etc/systemd/system")
CRON_TIME = re.compile(r"^\s*(\d{1,2})\s+(\d{1,2})\s+\S+\s+\S+\s+\S+\s")
TIMER_TIME = re.compile(r"^OnCalendar=\*-\*-\* (\d{2}):(\d{2}):00$", re.MULTILINE)


@dataclass(frozen=True)
class Scheduled:
    """A scheduled join.

    Attributes
    ----------
    hour, minute
        Start time, local.
    delay_minutes
        Longest random delay of the start.
    where
        What starts it.
    """

    hour: int
    minute: int
    delay_minutes: int
    where: str


def scheduled(home: Path, site: str) -> list[Scheduled]:
    """Return the joins of this home that `schedule cron` or `schedule systemd` installed."""
    return [*_in_crontab(home), *_in_systemd(home, site)]


def _in_crontab(home: Path) -> list[Scheduled]:
    crontab = shutil.which("crontab")
    if crontab is None:
        return []
    try:
        read = subprocess.run(
            [crontab, "-l"], capture_output=True, text=True, timeout=CRONTAB_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return []  # unreadable, so it is not checked
    joins = f" --home {shlex.quote(str(home))} join ".replace("%", r"\%")
    times = [CRON_TIME.match(line) for line in read.stdout.splitlines() if joins in line]
    return [
        Scheduled(int(time[2]), int(time[1]), 0, "crontab") for time in times if time is not None
    ]


def _in_systemd(home: Path, site: str) -> list[Scheduled]:
    timer, service = UNITS / f"ecgfl-{site}.timer", UNITS / f"ecgfl-{site}.service"
    try:
        found = TIMER_TIME.search(timer.read_text(encoding="utf-8"))
        is_ours = str(home) in service.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    if found is None or not is_ours:
        return []
    return [Scheduled(int(found[1]), int(found[2]), RANDOM_DELAY_MINUTES, str(timer))]
