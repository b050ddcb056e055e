"""The progress bar on a terminal."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_terminal_shows_how_far_how_fast_and_how_long_yet(site: Path, export: Any) -> None:
    import pty
    import subprocess

    files = [export(seed) for seed in range(3)]
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ecgfl_cli", "--home", str(site), "ingest", *map(str, files)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the terminal ends with the process
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait() == 0
    text = shown.decode()
    assert "3/3" in text
    assert re.search(r"\d\.\d/(s|min)", text)
    assert re.search(r"\d:\d\d:\d\d", text)
