"""A join that is told to end leaves the federation in order, and its key is accepted again at once."""

import json
import signal
import time

import pytest
from conftest import Homes, Waiting
from node_processes import Processes, contents, told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_waiting_join_leaves_at_once_and_comes_back_at_once(
    waiting: Waiting, homes: Homes, processes: Processes, number: signal.Signals
) -> None:
    home = homes.site("alice")
    before = contents(home.root)
    command = processes.join(home.root, waiting.port)
    command.wait_for("connected to")
    began = time.monotonic()
    command.send(number)
    ended = command.finish(30)
    assert time.monotonic() - began < 5
    assert ended.code == 130, ended.said
    assert "Traceback" not in "\n".join(ended.said)
    assert contents(home.root) == before
    again = told(home.root, "join", "--server", f"localhost:{waiting.port}", "--once", "--max-wait", "1s")
    assert again.code == 0, again.said
    events = [json.loads(line)["event"] for line in home.audit.read_text().splitlines()]
    assert events[-4:] == ["join", "leave", "join", "leave"]


def test_a_coordinator_that_waits_ends_when_told(homes: Homes, processes: Processes) -> None:
    server, _ = processes.serve(homes.coordinator)
    server.wait_for("waiting for sites")
    server.send(signal.SIGTERM)
    ended = server.finish(30)
    assert ended.code == 130, ended.said
    assert "Traceback" not in "\n".join(ended.said)
    assert ended.said[-1] == "ecgfl: interrupted"
