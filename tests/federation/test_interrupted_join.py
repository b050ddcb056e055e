"""A join that is interrupted leaves the federation, and its key is accepted again at once."""

import json
import signal
import subprocess
import sys
import time

import pytest
from federation_homes import Homes
from log_lines import PREFIX
from node_processes import Processes, contents, told
from shared_runs import Waiting

from ecgfl_cli.logs import Event
from ecgfl_cli.site.audit import AuditLog


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_waiting_join_leaves_at_once_and_comes_back_at_once(
    waiting: Waiting, homes: Homes, processes: Processes, number: signal.Signals
) -> None:
    home = homes.site("alice")
    before = contents(home.root)
    command = processes.join(home.root, waiting.port)
    command.wait_for(Event.CONNECTED)
    began = time.monotonic()
    command.send(number)
    ended = command.finish(30)
    assert time.monotonic() - began < 5
    assert ended.code == 130, ended.said
    assert "Traceback" not in "\n".join(ended.said)
    assert contents(home.root) == before
    again = told(
        home.root, "join", "--server", f"localhost:{waiting.port}", "--once", "--max-wait", "1s"
    )
    assert again.code == 0, again.said
    events = [json.loads(line)["event"] for line in home.audit.read_text().splitlines()]
    assert events[-4:] == ["join", "leave", "join", "leave"]


HANGING_NAME_SERVICE = """
import ctypes, socket
library, locked = ctypes.CDLL(None), ctypes.create_string_buffer(256)
library.pthread_mutex_lock(locked)
# Locked twice by one thread: it waits for ever, and no signal interrupts it.
socket.getaddrinfo = lambda *_, **__: library.pthread_mutex_lock(locked)
from ecgfl_cli.app import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no mutexes of POSIX there")
def test_join_ends_while_the_name_service_hangs(homes: Homes) -> None:
    home = homes.site("alice")
    arguments = [
        "--home",
        str(home.root),
        "join",
        "--server",
        "ecg.example.org:8443",
        "--once",
        "--max-wait",
        "1h",
    ]
    command = [sys.executable, "-c", HANGING_NAME_SERVICE, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while "join" not in [entry["event"] for entry in AuditLog(home.audit).entries()]:
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(1)  # it looks the name up
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=40)[1]
    assert process.returncode == 130
    last = PREFIX.sub("", said).splitlines()[-1]
    assert last == "ecgfl: interrupted; it did not end by itself within 9 s"
    assert told(home.root, "audit", "verify").code == 0
    again = told(home.root, "join", "--server", "localhost:1", "--once", "--max-wait", "1s")
    again.refused(4)  # the home is free again


def test_a_coordinator_that_waits_ends_when_told(homes: Homes, processes: Processes) -> None:
    server, _ = processes.serve(homes.coordinator)
    server.wait_for(Event.WAITING_FOR_SITES)
    server.send(signal.SIGTERM)
    ended = server.finish(30)
    assert ended.code == 130, ended.said
    assert "Traceback" not in "\n".join(ended.said)
    assert ended.said[-1] == "ecgfl: interrupted"
