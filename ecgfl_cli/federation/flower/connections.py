"""The coordinator's connections: how many there may be, and how long each may take for what a site does at once.

A connection belongs to a stranger until a site has signed a call on it. Strangers have few connections, for a short time:
however many come, they take no file handle and no memory that a site needs. When there are too many, the oldest is dropped
instead of the newest: a site that signs at once gets through also while others hold all connections that they can.
"""

import asyncio
import socket
import ssl
from collections import defaultdict
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_STRANGERS, MOST_OF_AN_ADDRESS = 200, 100
"""Connections on which no site has signed a call yet: in all, and from one address. A TLS connection takes about 0.4 MiB."""

MOST_OF_A_SITE = 16
"""A site fetches the parts of a message on some connections at once, and keeps two or three."""

STRANGER_SECONDS = 10.0
"""From the begin of a connection to the head of its first signed call, the TLS handshake included."""

HEAD_SECONDS, BODY_SECONDS = 10.0, 120.0
"""From the first byte of a further call to the end of its head, and from there to the end of its body. 8 MiB in 120 s are
0.6 Mbit/s; the weights are less than one MiB."""

IDLE_SECONDS = 75
"""Between two calls on a connection of a site. Sites close theirs sooner, so that no call is sent on a connection that ends."""

CLOSE_SECONDS = 2.0
"""For the end of TLS; then the connection is dropped."""

LARGEST_HEAD = 16 * 2**10
"""Bytes of a call's head. Those of ecgfl have about 1 KiB."""


NEW_A_SECOND, NEW_AT_ONCE = 100.0, 100.0
"""New connections that are taken: a TLS handshake takes about 2 ms of the processor. The others wait in the system's queue."""

BACKLOG = 128
"""Connections in that queue."""

NO_HANDLE_SECONDS = 0.2
"""Until a connection is taken again when there was no file handle."""


class Connections:
    """All open connections. Its methods are called on the server's event loop.

    Parameters
    ----------
    most : connections that there may be at a time, those of strangers included.
    """

    def __init__(self, most: int) -> None:
        self._most = max(most, MOST_STRANGERS + MOST_OF_A_SITE)
        self._strangers: dict[Connection, str] = {}
        self._members: defaultdict[int, dict[Connection, None]] = defaultdict(dict)

    def add(self, connection: "Connection", address: str) -> None:
        """Take a new connection, of a stranger until it has signed a call."""
        of_address = [each for each, its in self._strangers.items() if its == address]
        if len(of_address) >= MOST_OF_AN_ADDRESS:
            of_address[0].drop()
        elif len(self._strangers) >= MOST_STRANGERS:
            next(iter(self._strangers)).drop()
        self._strangers[connection] = address

    def authenticated(self, connection: "Connection", node: int) -> None:
        """A site has signed a call on this connection."""
        if self._strangers.pop(connection, None) is None:
            return
        ours = self._members[node]
        ours[connection] = None
        if len(ours) > MOST_OF_A_SITE:
            next(iter(ours)).drop()
        elif sum(map(len, self._members.values())) > self._most - MOST_STRANGERS:
            of_the_busiest_site: dict[Connection, None] = max(self._members.values(), key=len)
            next(iter(of_the_busiest_site)).drop()

    def remove(self, connection: "Connection") -> None:
        """A connection has ended."""
        self._strangers.pop(connection, None)
        for node, ours in list(self._members.items()):
            ours.pop(connection, None)
            if not ours:
                del self._members[node]


class Connection(H11Protocol):
    """One connection: TLS, then HTTP/1.1, each step within its time.

    It begins as a bare TCP connection: asyncio's own TLS listener would make its buffers for as many connections as come.
    """

    def __init__(self, *, connections: Connections, tls: ssl.SSLContext, app_state: dict[str, Any], **others: Any) -> None:
        super().__init__(app_state={**app_state, "connection": self}, **others)
        self._all, self._tls = connections, tls
        self._bare: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._securing: asyncio.Task[None] | None = None
        self._is_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called with a bare TCP connection."""
        self._bare = transport
        peer = transport.get_extra_info("peername")
        self._all.add(self, str(peer[0]) if peer else "")
        self._limit(STRANGER_SECONDS)
        self._securing = self.loop.create_task(self._secure(transport))

    async def _secure(self, bare: asyncio.Transport) -> None:
        try:
            secured = await self.loop.start_tls(
                bare,
                self,
                self._tls,
                server_side=True,
                ssl_handshake_timeout=STRANGER_SECONDS,
                ssl_shutdown_timeout=CLOSE_SECONDS,
            )
        except (OSError, RuntimeError):  # no TLS, another version of it, or gone
            secured = None
        if secured is None or self._is_over:
            bare.abort()
            self._end()
            return
        super().connection_made(secured)
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self.transport is None:  # `start_tls` may hand data on before it returns
            self._early.append(data)
            return
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._limit(HEAD_SECONDS)
        super().data_received(data)

    def authenticated(self, node: int) -> None:
        """A site has signed the call whose body comes now."""
        self._all.authenticated(self, node)
        self._limit(BODY_SECONDS)

    def body_is_there(self) -> None:
        """All of the call has come; the answer may take its time."""
        self._no_limit()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            super().connection_lost(exc)
        self._end()

    def timeout_keep_alive_handler(self) -> None:
        """Also where the peer does not read what it was sent: a polite end would wait for that."""
        if self.transport.get_write_buffer_size():
            self.drop()
        else:
            super().timeout_keep_alive_handler()

    def drop(self) -> None:
        """End the connection now."""
        self._end()
        for each in (self.transport, self._bare):
            if each is not None:
                each.abort()

    def _end(self) -> None:
        self._is_over = True
        self._no_limit()
        self._all.remove(self)

    def _limit(self, seconds: float) -> None:
        self._no_limit()
        self._timer = self.loop.call_later(seconds, self.drop)

    def _no_limit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def tls_context(certificate: Path, key: Path, passphrase: str | None = None) -> ssl.SSLContext:
    """The coordinator's side of TLS 1.2 or 1.3.

    certificate, key : PEM files. passphrase : of an encrypted key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key, passphrase)
    return context


class BoundedServer(uvicorn.Server):
    """uvicorn with a listener that takes so many new connections a second, and whose connections are bounded.

    Parameters
    ----------
    listener : a bound, not yet listening socket.
    """

    def __init__(self, config: uvicorn.Config, listener: socket.socket, tls: ssl.SSLContext, most_connections: int) -> None:
        super().__init__(config)
        self._listener, self._tls = listener, tls
        self._connections = Connections(most_connections)
        self._accepting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Begin to listen."""
        await super().startup(sockets=[])
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Take no more connections, and end those that there are."""
        if self._accepting is not None:
            self._accepting.cancel()
        await super().shutdown(sockets=[])

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        tokens, looked = NEW_AT_ONCE, loop.time()
        while True:
            now = loop.time()
            tokens, looked = min(NEW_AT_ONCE, tokens + (now - looked) * NEW_A_SECOND), now
            if tokens < 1:
                await asyncio.sleep(1 / NEW_A_SECOND)
                continue
            tokens -= 1
            try:
                accepted, _ = await loop.sock_accept(self._listener)
            except OSError:  # no file handle is left in the whole system, or the connection has gone already
                await asyncio.sleep(NO_HANDLE_SECONDS)
                continue
            try:
                await loop.connect_accepted_socket(self._made, accepted)
            except OSError:
                accepted.close()

    def _made(self) -> "Connection":
        return Connection(
            connections=self._connections, tls=self._tls, config=self.config, server_state=self.server_state, app_state={}
        )
