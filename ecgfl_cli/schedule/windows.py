"""A command for Windows' Task Scheduler."""

import subprocess

from ecgfl_cli.errors import UsageError
from ecgfl_cli.schedule.nightly import Nightly

LONGEST_TASK = 261
"""Characters that `schtasks` takes as /TR."""


def schtasks_line(nightly: Nightly) -> str:
    """`schtasks` with the task's command line.

    Raises
    ------
    UsageError
        If that is longer than it takes.
    """
    task = subprocess.list2cmdline(nightly.command)
    if len(task) > LONGEST_TASK:
        raise UsageError(
            f"the task's command has {len(task)} characters and schtasks takes {LONGEST_TASK}",
            "Put this line into a .cmd file and let the Task Scheduler start that: " + task,
        )
    words = ["schtasks", "/Create", "/SC", "DAILY", "/ST", f"{nightly.hour:02}:{nightly.minute:02}"]
    return subprocess.list2cmdline([*words, "/TN", f"ecgfl {nightly.name}", "/TR", task])
