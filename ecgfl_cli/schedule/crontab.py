"""The crontab line of the nightly join."""

import shlex
import shutil
import subprocess

from ecgfl_cli.errors import EcgflError, UnusableInput, UsageError
from ecgfl_cli.schedule.nightly import Nightly

LOG = "join.log"
"""Log file in the home. Cron itself would send the output by mail, which many servers cannot."""
CRONTAB_SECONDS = 20


def cron_line(nightly: Nightly) -> str:
    """Return the line, quoted for the shell and for cron.

    A proxy with a password is left out: cron writes its commands into the system's log, and they
    appear in the list of processes.
    """
    proxy = "" if nightly.open_proxy is None else f"HTTPS_PROXY={shlex.quote(nightly.open_proxy)} "
    log = shlex.quote(str(nightly.home / LOG))
    shell = f"umask 077; {proxy}{shlex.join(nightly.command)} >> {log} 2>&1"
    # Cron ends a command at a %, and passes a \% on as %.
    return f"{nightly.minute} {nightly.hour} * * * " + shell.replace("%", r"\%")


def marker(nightly: Nightly) -> str:
    """Return the comment above the line, which identifies it."""
    return f"# ecgfl join in {nightly.home}"


def install(nightly: Nightly) -> bool:
    """Put the line into this user's crontab; it replaces the line of the same home.

    Returns
    -------
    bool
        Whether the crontab changed.

    Raises
    ------
    UsageError
        There is no cron.
    UnusableInput
        The crontab cannot be read or written. It is unchanged then.
    """
    crontab = shutil.which("crontab")
    if crontab is None:
        raise UsageError(
            "there is no crontab on this machine", "Use `ecgfl schedule systemd`, or install cron"
        )
    before = _current(crontab)
    lines = before.splitlines()
    if marker(nightly) in lines:
        place = lines.index(marker(nightly))
        del lines[place : place + 2]
    after = "\n".join([*lines, marker(nightly), cron_line(nightly)]) + "\n"
    if after == before:
        return False
    wrote = _run(crontab, "-", given=after)
    if wrote.returncode:
        raise _failed("written", wrote.stderr)
    return True


def _current(crontab: str) -> str:
    read = _run(crontab, "-l")
    if read.returncode == 0:
        return read.stdout
    if "no crontab for" in read.stderr:
        return ""
    raise _failed("read", read.stderr)


def _run(crontab: str, argument: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [crontab, argument],
            input=given,
            capture_output=True,
            text=True,
            timeout=CRONTAB_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        raise _failed("read", str(error)) from error


def _failed(done: str, reason: str) -> EcgflError:
    return UnusableInput(
        f"this user's crontab could not be {done}: {reason.strip()}",
        "Add the line with `crontab -e`; nothing was changed",
    )
