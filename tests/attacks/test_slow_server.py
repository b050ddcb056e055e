"""A server that sends a byte now and then cannot keep a site beyond --max-wait.

It sends slowly in the TLS handshake, in the headers, in the body, or as a proxy.
"""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.initialise import make_coordinator

LONGEST_SECONDS = 240.0
"""Longest duration of a join with --max-wait 3s on a busy machine. The servers send for an hour."""

PAUSE_SECONDS = 0.5
"""Pause between two bytes."""

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n"
Serve = Callable[[socket.socket, ssl.SSLContext], None]


def drip(client: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        client.sendall(data)
        for _ in range(7200):
            client.sendall(b"x")
            time.sleep(PAUSE_SECONDS)


def in_tls(client: socket.socket, context: ssl.SSLContext) -> None:  # noqa: ARG001
    drip(client, b"\x16\x03\x03\x40\x00\x02")


def answering(data: bytes) -> Serve:
    def serve(client: socket.socket, context: ssl.SSLContext) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(client, server_side=True) as secured,
        ):
            drip(secured, data)

    return serve


def in_proxy(client: socket.socket, context: ssl.SSLContext) -> None:  # noqa: ARG001
    drip(client, b"HTTP/1.1 200 OK\r\nx-slow: ")


def behind_proxy(client: socket.socket, context: ssl.SSLContext) -> None:  # noqa: ARG001
    client.recv(4096)
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    client.recv(4096)  # ClientHello
    drip(client, b"\x16\x03\x03\x40\x00\x02")


def prepare_site(ecgfl: Any, export: Any, folder: Path) -> None:
    """Give the site a recording and the coordinator's federation.json."""
    assert ecgfl("ingest", export(1)).code == 0
    federation = folder / "federation" / "federation.json"
    assert ecgfl("init", "--site", "st-mary", "--federation", federation).code == 0


def join(
    site: Path, server: str, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `ecgfl join` in a separate process with these environment variables."""
    command = [sys.executable, "-m", "ecgfl_cli", "--home", str(site), "join", "--server", server]
    return subprocess.run(
        [*command, *options],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Callable[[Serve], int]]:
    home = CoordinatorHome(tmp_path / "federation")
    make_coordinator(home, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.server_certificate, home.server_key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(serve: Serve, client: socket.socket) -> None:
            with client:
                serve(client, context)

        def accept(serve: Serve) -> None:
            while True:
                try:
                    client = listener.accept()[0]
                except OSError:
                    return
                threading.Thread(target=answer, args=(serve, client), daemon=True).start()

        def start(serve: Serve) -> int:
            threading.Thread(target=accept, args=(serve,), daemon=True).start()
            return int(listener.getsockname()[1])

        yield start


@pytest.mark.parametrize(
    ("serve", "proxied"),
    [
        (in_tls, False),
        (answering(b"HTTP/1.1 200 OK\r\nx-slow: "), False),
        (answering(HEAD + b"content-length: 100000\r\n\r\n"), False),
        (answering(HEAD + b"transfer-encoding: chunked\r\n\r\n5000\r\n"), False),
        (in_proxy, True),
        (behind_proxy, True),
    ],
    ids=["tls", "head", "body", "chunked", "proxy", "behind-proxy"],
)
@pytest.mark.usefixtures("site")
def test_max_wait_limits_a_slow_server(
    ecgfl: Any,
    export: Any,
    tmp_path: Path,
    listening: Callable[[Serve], int],
    monkeypatch: pytest.MonkeyPatch,
    serve: Serve,
    proxied: bool,
) -> None:
    port = listening(serve)
    prepare_site(ecgfl, export, tmp_path)
    server = "coordinator.example:8443" if proxied else f"localhost:{port}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}" if proxied else "")
    monkeypatch.setenv("NO_PROXY", "")
    began = time.monotonic()
    ran = ecgfl("join", "--server", server, "--once", "--max-wait", "3s")
    assert time.monotonic() - began < LONGEST_SECONDS
    assert ran.code == 4, ran.err
    assert "not reached" in ran.err


def test_no_session_by_max_time_is_exit_code_4(
    site: Path, ecgfl: Any, export: Any, tmp_path: Path, listening: Callable[[Serve], int]
) -> None:
    port = listening(in_tls)
    prepare_site(ecgfl, export, tmp_path)
    ran = join(site, f"localhost:{port}", "--max-time", "4s")
    assert ran.returncode == 4, ran.stderr
