"""One ecgfl at a time: another process that holds the home is a quick refusal."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Ecgfl = Callable[..., Any]
HOLD = """
import sys, time
from pathlib import Path
from ecgfl_cli.site.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(120)
"""


@pytest.fixture
def holder(site: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds the site's home."""
    command = [sys.executable, "-c", HOLD, str(site / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_home_that_another_process_holds_is_refused_at_once(
    holder: subprocess.Popen, site: Path, ecgfl: Ecgfl, export: Any, files_of: Any
) -> None:
    assert holder.poll() is None
    recording = export(1, seconds=12)
    before = files_of(site)
    for command in (
        ("ingest", recording),
        ("segment",),
        ("validate",),
        ("dataset", "remove", "0123456789abcdef"),
        ("model", "use", "ecgnet-0001-00000000"),
        ("init", "--site", "st-mary"),
    ):
        started = time.monotonic()
        ran = ecgfl(*command)
        assert ran.code == 6, command
        assert len(ran.err.splitlines()) == len(ran.problems) == 1
        assert str(site) in ran.problems[0]
        assert time.monotonic() - started < 5
    assert files_of(site) == before


def test_looking_needs_no_lock(holder: subprocess.Popen, ecgfl: Ecgfl) -> None:
    assert holder.poll() is None
    assert ecgfl("dataset", "list").code == 0
    assert ecgfl("audit", "show").code == 0


def test_a_killed_holder_leaves_no_lock_behind(holder: subprocess.Popen, ecgfl: Ecgfl) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert ecgfl("segment").code == 0
