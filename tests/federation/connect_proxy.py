"""An HTTP proxy on 127.0.0.1 that knows CONNECT, and leads to one port for every name."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class ConnectProxy:
    """A proxy.

    leads_to : a port of 127.0.0.1. status : the answer of a proxy that refuses, None for one that
    does not. asked : the heads of the requests so far.
    """

    leads_to: int
    status: str | None = None
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def targets(self) -> set[str]:
        return {head.split()[1] for head in self.asked}


@contextlib.contextmanager
def connect_proxy(leads_to: int, status: str | None = None) -> Iterator[ConnectProxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = ConnectProxy(leads_to, status, port=listener.getsockname()[1])
        ended = threading.Event()
        threading.Thread(target=_accept, args=(listener, proxy, ended), daemon=True).start()
        yield proxy
        ended.set()


def _accept(listener: socket.socket, proxy: ConnectProxy, ended: threading.Event) -> None:
    listener.settimeout(0.1)
    while not ended.is_set():
        try:
            client = listener.accept()[0]
        except (TimeoutError, OSError):
            continue
        threading.Thread(target=_serve, args=(client, proxy), daemon=True).start()


def _serve(client: socket.socket, proxy: ConnectProxy) -> None:
    with client, contextlib.suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            if not (part := client.recv(4096)):
                return
            head += part
        proxy.asked.append(head.decode("ascii"))
        if proxy.status is not None:
            client.sendall(
                f"HTTP/1.1 {proxy.status}\r\n"
                "content-length: 0\r\nconnection: close\r\n\r\n".encode()
            )
            return
        with socket.create_connection(("127.0.0.1", proxy.leads_to), 10) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            _pass_on(client, server)
            back.join(10)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
