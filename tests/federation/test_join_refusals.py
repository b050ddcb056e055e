"""Errors when a site joins: an exit code, one line with a fix, and an unchanged home."""

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from federation_homes import Homes, ecgfl
from node_processes import Ended, contents, told
from shared_runs import Waiting

QUICK = ("--once", "--max-wait", "2s")


def join(home: Path, port: int | str, *arguments: str, host: str = "localhost") -> Ended:
    """Join in this process; the home must come out of it as it went in."""
    before = contents(home)
    ended = told(home, "join", "--server", f"{host}:{port}", *QUICK, *arguments)
    assert contents(home) == before
    return ended


@pytest.fixture
def stranger(homes: Homes, tmp_path: Path) -> Path:
    """Alice's store with a key that nobody enrolled."""
    home = tmp_path / "stranger"
    shutil.copytree(homes.site("alice").root, home)
    (home / "keys" / "node").unlink()
    (home / "keys" / "node.pub").unlink()
    ecgfl(home, "init", "--site", "alice")
    return home


@pytest.fixture
def talker() -> Iterator[Callable[[bytes], int]]:
    """Starts a server on 127.0.0.1 that answers anything with the given bytes; returns its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        ended = threading.Event()

        def answer(words: bytes) -> None:
            while not ended.is_set():
                try:
                    connection = listener.accept()[0]
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(1)
                    connection.recv(4096)
                    connection.sendall(words)

        def start(words: bytes) -> int:
            threads.append(threading.Thread(target=answer, args=(words,), daemon=True))
            threads[-1].start()
            return int(listener.getsockname()[1])

        threads: list[threading.Thread] = []
        yield start
        ended.set()
        for thread in threads:
            thread.join()


def test_nothing_offered_is_no_error(waiting: Waiting, homes: Homes) -> None:
    ended = join(homes.site("alice").root, waiting.port)
    assert ended.code == 0, ended.said
    assert (ended.result["status"], ended.result["participated"]) == ("ok", False)
    assert (ended.result["run"], ended.result["rounds"], ended.result["version"]) == (None, 0, None)


def test_an_unregistered_key_is_refused(waiting: Waiting, stranger: Path) -> None:
    line = join(stranger, waiting.port).refused(4)
    assert "not enrolled" in line
    assert "ecgfl coordinator enrol" in line


def test_another_ca_is_refused(waiting: Waiting, homes: Homes, tmp_path: Path) -> None:
    ecgfl(tmp_path / "other", "coordinator", "init", "--name", "localhost")
    line = join(
        homes.site("alice").root, waiting.port, "--ca", str(tmp_path / "other/coordinator/ca.crt")
    ).refused(4)
    assert "TLS" in line


def test_the_right_ca_given_by_hand_is_taken(waiting: Waiting, homes: Homes) -> None:
    authority = waiting.homes.coordinator_home.ca_certificate
    assert join(homes.site("alice").root, waiting.port, "--ca", str(authority)).code == 0


@pytest.mark.parametrize(
    "words",
    [None, b"", b"\x00\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
)
def test_a_ca_file_that_is_no_certificate_is_unusable(
    homes: Homes, tmp_path: Path, words: bytes | None
) -> None:
    file = tmp_path / "ca.crt"
    if words is not None:
        file.write_bytes(words)
    assert str(file) in join(homes.site("alice").root, 8443, "--ca", str(file)).refused(3)


def test_a_name_that_is_not_in_the_certificate_is_refused(waiting: Waiting, homes: Homes) -> None:
    # The resolver takes 127.1 for 127.0.0.1; the certificate does not.
    line = join(homes.site("alice").root, waiting.port, host="127.1").refused(4)
    assert "TLS" in line


def test_a_server_that_is_down_is_unreachable(homes: Homes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    began = time.monotonic()
    line = join(homes.site("alice").root, port).refused(4)
    assert f"localhost:{port}" in line
    assert time.monotonic() - began < 10


def test_a_name_that_does_not_resolve_is_unreachable(homes: Homes) -> None:
    assert "no-such-host.invalid" in join(
        homes.site("alice").root, 8443, host="no-such-host.invalid"
    ).refused(4)


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xff",
        b"220 mail.example.org ESMTP\r\n",
    ],
    ids=["nothing", "page", "bytes", "smtp"],
)
@pytest.mark.parametrize("tls", [(), ("--insecure",)])
def test_a_port_that_speaks_something_else_is_refused(
    homes: Homes, talker: Callable[[bytes], int], words: bytes, tls: tuple[str, ...]
) -> None:
    join(homes.site("alice").root, talker(words), *tls).refused(4)


def test_plain_http_towards_a_tls_port_is_refused(waiting: Waiting, homes: Homes) -> None:
    join(homes.site("alice").root, waiting.port, "--insecure").refused(4)


@pytest.mark.parametrize(
    "server",
    [
        *(
            "nonsense",
            "",
            ":8443",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "localhost:-1",
            "localhost:http",
            "localhost:²",
        ),
        *(
            "https://localhost:8443",
            "localhost/path:8443",
            "local host:8443",
            "user@localhost:8443",
            "[::1:8443",
        ),
    ],
)
def test_a_server_that_is_not_host_and_port_is_a_usage_error(homes: Homes, server: str) -> None:
    home = homes.site("alice").root
    before = contents(home)
    assert "HOST:PORT" in told(home, "join", "--server", server, *QUICK).refused(2)
    assert contents(home) == before


@pytest.mark.parametrize(
    "host", ["ecg.example.org", "10.1.2.3", "localhost.example.org", "127.0.0.1.example.org"]
)
def test_insecure_is_for_this_machine_only(homes: Homes, host: str) -> None:
    assert "--insecure" in join(homes.site("alice").root, 8443, "--insecure", host=host).refused(2)


@pytest.mark.parametrize("text", ["soon", "-1s", "", "1 week"])
def test_a_duration_that_is_none_is_a_usage_error(homes: Homes, text: str) -> None:
    told(
        homes.site("alice").root, "join", "--server", "localhost:8443", "--once", "--max-wait", text
    ).refused(2)
