"""A sandboxed service and a timer for systemd."""

from pathlib import Path

from ecgfl_cli.errors import UsageError
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.schedule.nightly import UNPRINTABLE, Nightly
from ecgfl_cli.site.passphrase import CREDENTIAL

MEMORY_MAX = "4G"
"""Memory limit: a night needs 0.5 to 1 GB, and a fault must not exhaust the machine."""
RANDOM_DELAY_MINUTES = 5
STOP_SECONDS = 30
"""Seconds until SIGKILL: a join exits within 10 s of SIGTERM."""

SERVICE = """\
# Created by `ecgfl schedule systemd`; create it again instead of editing it.
[Unit]
Description=ecgfl: {name} takes part in its federation
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
ExecStart={command}
{environment}{credential}UMask=0077
TimeoutStopSec={stop}
# The exit code after SIGTERM.
SuccessExitStatus=130

# Low priority.
Nice=10
IOSchedulingClass=idle
MemoryMax={memory}
TasksMax=256

# It writes only to its home, and uses the network.
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={home}
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""

TIMER = """\
# Created by `ecgfl schedule systemd`; create it again instead of editing it.
[Unit]
Description=ecgfl: {name} takes part in its federation every night

[Timer]
OnCalendar=*-*-* {hour:02}:{minute:02}:00
# Hospitals start at different times. A night that was missed because the machine was off is made
# up for.
RandomizedDelaySec={delay}m
Persistent=true

[Install]
WantedBy=timers.target
"""


def units(nightly: Nightly, user: str, passphrase: Path | None = None) -> dict[str, str]:
    """Return file name -> content. A proxy with a password is left out: all users can read units.

    Parameters
    ----------
    passphrase
        Absolute path of the file that holds the passphrase of an encrypted node key; systemd reads
        it.

    Raises
    ------
    UsageError
        If that path contains a control character.
    """
    if passphrase is not None and UNPRINTABLE.search(str(passphrase)):
        raise UsageError(
            f"{str(passphrase)!r} holds a control character", "Rename that file or folder"
        )
    name = f"ecgfl-{nightly.name}"
    environment = (
        ""
        if nightly.open_proxy is None
        else f"Environment={_word('HTTPS_PROXY=' + nightly.open_proxy)}\n"
    )
    service = SERVICE.format(
        name=nightly.name,
        user=user,
        command=" ".join(_word(word.replace("$", "$$")) for word in nightly.command),
        environment=environment,
        credential=""
        if passphrase is None
        else f"LoadCredential={CREDENTIAL}:{str(passphrase).replace('%', '%%')}\n",
        stop=STOP_SECONDS,
        memory=MEMORY_MAX,
        home=_word(str(nightly.home)),
    )
    timer = TIMER.format(
        name=nightly.name, hour=nightly.hour, minute=nightly.minute, delay=RANDOM_DELAY_MINUTES
    )
    return {f"{name}.service": service, f"{name}.timer": timer}


def write(nightly: Nightly, user: str, folder: Path, passphrase: Path | None = None) -> list[Path]:
    """Write both files and return their paths.

    Raises
    ------
    UsageError
        The folder does not exist.
    """
    if not folder.is_dir():
        raise UsageError(
            f"--write {folder}: {'not a folder' if folder.exists() else 'there is no such folder'}",
            "systemd reads /etc/systemd/system; use that folder, or create this one first",
        )
    paths = []
    for name, content in units(nightly, user, passphrase).items():
        atomic_write_bytes(folder / name, content.encode(), mode=0o644)
        paths.append(folder / name)
    return paths


def _word(word: str) -> str:
    """Quote a word for systemd. A % begins a specifier and is doubled."""
    word = word.replace("%", "%%")
    if word and not set(word) & set(" \t\"'\\;"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
