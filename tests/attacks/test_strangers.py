"""Clients without an enrolled key can neither stop nor exhaust a real coordinator."""

import contextlib
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from attackers import HEAD, INVENTED
from strangers import MIB, Strangers, serve

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))

from node_processes import Command, Processes

from ecgfl_cli.app import run
from ecgfl_cli.federation.flower.connections import (
    MOST_OF_AN_ADDRESS,
    MOST_WAITING_OF_AN_ADDRESS,
    STRANGER_SECONDS,
)
from ecgfl_cli.logs import Event

pytestmark = pytest.mark.slow
SLACK_SECONDS = 50.0
"""Additional time on a busy machine."""


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[tuple[Command, int]]:
    """Return a coordinator that waits for sites, and its port."""
    assert run(["--home", str(tmp_path), "coordinator", "init", "--name", "localhost"]) == 0
    running = Processes()
    try:
        yield running.serve(tmp_path)
    finally:
        running.end_all()


def connect(port: int, tls: bool = True) -> socket.socket:
    bare = socket.create_connection(("127.0.0.1", port), timeout=60)
    if not tls:
        return bare
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(bare)


def answer(connection: socket.socket) -> bytes:
    """Return what the coordinator sends until it closes the connection.

    Raise `TimeoutError` if it does not close it.
    """
    connection.settimeout(STRANGER_SECONDS + SLACK_SECONDS)
    parts = []
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("tls", [True, False], ids=["after TLS", "before TLS"])
def test_silent_connection_is_closed(coordinator: tuple[Command, int], tls: bool) -> None:
    _, port = coordinator
    with connect(port, tls) as connection:
        assert answer(connection) == b""


def test_slow_head_is_cut_off(coordinator: tuple[Command, int]) -> None:
    _, port = coordinator
    deadline = time.monotonic() + STRANGER_SECONDS + SLACK_SECONDS

    def send_slowly() -> None:
        for byte in HEAD + b"x: " + b"y" * 10_000:
            connection.sendall(bytes([byte]))
            time.sleep(0.2)
            assert time.monotonic() < deadline

    with connect(port) as connection, pytest.raises((ConnectionError, ssl.SSLError)):
        send_slowly()


def test_endless_head_is_cut_off(coordinator: tuple[Command, int]) -> None:
    server, port = coordinator
    before = psutil.Process(server.pid).memory_info().rss
    with connect(port) as connection, pytest.raises((ConnectionError, ssl.SSLError)):
        connection.sendall(HEAD + b"x: " + b"y" * 2000 * MIB)
    assert psutil.Process(server.pid).memory_info().rss < before + 50 * MIB


def test_invented_signature_is_refused_before_the_body(coordinator: tuple[Command, int]) -> None:
    _, port = coordinator
    with connect(port) as connection:
        connection.sendall(HEAD + INVENTED + b"content-length: 8000000\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 401 ")


def test_signature_must_come_with_a_length(coordinator: tuple[Command, int]) -> None:
    _, port = coordinator
    with connect(port) as connection:
        connection.sendall(HEAD + INVENTED + b"transfer-encoding: chunked\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 411 ")


def test_strangers_have_few_connections(coordinator: tuple[Command, int]) -> None:
    server, port = coordinator
    with contextlib.ExitStack() as opened:
        for _ in range(8 * MOST_OF_AN_ADDRESS):
            with contextlib.suppress(OSError):
                opened.enter_context(connect(port, tls=False))
        established = [
            connection
            for connection in psutil.Process(server.pid).net_connections("tcp")
            if connection.status == psutil.CONN_ESTABLISHED
        ]
        assert len(established) <= MOST_OF_AN_ADDRESS + MOST_WAITING_OF_AN_ADDRESS
    assert server.code is None


@pytest.mark.skipif(sys.platform != "linux", reason="limits file handles with prlimit")
def test_serves_again_after_lack_of_file_handles(coordinator: tuple[Command, int]) -> None:
    server, port = coordinator
    process = psutil.Process(server.pid)
    usual = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 2, usual[1]))
    with contextlib.ExitStack() as opened:
        for _ in range(20):
            with contextlib.suppress(OSError):
                opened.enter_context(connect(port, tls=False))
        server.wait_for(Event.SITES_UNREADABLE)
    process.rlimit(psutil.RLIMIT_NOFILE, usual)
    with connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 404 ")
    assert server.code is None


def test_rounds_continue_under_attack(tmp_path: Path) -> None:
    served = serve(tmp_path, rounds=3, strangers=Strangers(idle=300, slow=100, floods=8))
    assert served.problems == []
    assert served.report.outcome == "finished"
    assert [len(result.sites) for result in served.report.rounds] == [3] * 3
    assert served.opened["idle"] >= 100
    assert served.peak < served.before + 120 * MIB, "the run itself takes some 20 MiB"
