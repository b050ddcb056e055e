"""The command for the Windows Task Scheduler."""

import subprocess

from ecgfl_cli.errors import UsageError
from ecgfl_cli.schedule.nightly import Nightly

LONGEST_TASK = 261
"""Largest number of characters that `schtasks` accepts as /TR."""


def schtasks_line(nightly: Nightly) -> str:
    """Return the `schtasks` command that creates the task.

    Raises
    ------
    UsageError
        The task's command is longer than `schtasks` accepts.
    """
    task = subprocess.list2cmdline(nightly.command)
    if len(task) > LONGEST_TASK:
        raise UsageError(
            f"the task's command has {len(task)} characters, but schtasks accepts {LONGEST_TASK}",
            "Put this line into a .cmd file and let the Task Scheduler start that: " + task,
        )
    words = ["schtasks", "/Create", "/SC", "DAILY", "/ST", f"{nightly.hour:02}:{nightly.minute:02}"]
    return subprocess.list2cmdline([*words, "/TN", f"ecgfl {nightly.name}", "/TR", task])
