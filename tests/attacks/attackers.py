"""Strangers who try to fill a coordinator: they hold connections, send heads without end, and bodies that nobody signed.

Run as a program, in a process of its own: python attackers.py PORT IDLE SLOW FLOODS. When its standard input is closed it ends,
and prints how many connections of each kind it has opened, as JSON.
"""

import asyncio
import contextlib
import json
import logging
import os
import ssl
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

HEAD = b"POST /v1/fleet/push-object HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/protobuf\r\n"
INVENTED = b"".join(
    (
        *(b"ecgfl-key: QUJD\r\n", b"ecgfl-signature: QUJD\r\n", b"ecgfl-time: 1700000000.000\r\n"),
        *(b"ecgfl-nonce: " + b"0" * 32 + b"\r\n", b"ecgfl-body-sha256: " + b"0" * 64 + b"\r\n"),
        b"flwr-signature: QUJD\r\n",
    )
)
MIB = 2**20
PAUSE_SECONDS = 0.2
"""Before a connection that was dropped is opened again."""

Deed = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def idle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing after the TLS handshake."""
    await reader.read()


async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A head that comes byte by byte and never ends."""
    for byte in HEAD + b"x: " + b"y" * MIB:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)
        if reader.at_eof() or writer.is_closing():
            return


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A head without end, as fast as it is taken."""
    writer.write(HEAD + b"x: ")
    while not (reader.at_eof() or writer.is_closing()):
        writer.write(b"y" * 65536)
        await writer.drain()
        await asyncio.sleep(
            0
        )  # `drain` alone does not let go of the loop while nothing is buffered


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body of one MiB under an invented signature."""
    writer.write(HEAD + INVENTED + b"content-length: %d\r\n\r\n" % MIB)
    writer.write(b"z" * MIB)
    await writer.drain()
    await reader.read()


class Attack:
    """Opens connections to a port on this machine again and again, and does the same on each."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        self.opened: Counter[str] = Counter()

    async def again_and_again(self, name: str, deed: Deed, tls: bool = True) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                await self._once(name, deed, tls)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _once(self, name: str, deed: Deed, tls: bool) -> None:
        secured = (
            {"ssl": self._tls, "ssl_handshake_timeout": 30, "ssl_shutdown_timeout": 1}
            if tls
            else {}
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, **secured)
        self.opened[name] += 1
        try:
            await deed(reader, writer)
        finally:
            writer.transport.abort()


async def attack(port: int, idles: int, slows: int, floods: int) -> Counter[str]:
    """Attack until standard input is closed; how often each kind of connection was opened."""
    made = Attack(port)
    deeds = [made.again_and_again("idle", idle) for _ in range(idles // 2)]
    deeds += [made.again_and_again("silent", idle, tls=False) for _ in range(idles - idles // 2)]
    deeds += [made.again_and_again("slow", slow) for _ in range(slows)]
    deeds += [made.again_and_again("flood", flood) for _ in range(floods)]
    deeds += [made.again_and_again("endless", endless) for _ in range(floods // 4)]
    tasks = [asyncio.create_task(deed) for deed in deeds]
    await asyncio.to_thread(sys.stdin.read)
    del tasks
    return made.opened


def main() -> None:
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of every connection that was dropped
    with contextlib.suppress(ImportError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    opened = asyncio.new_event_loop().run_until_complete(attack(*map(int, sys.argv[1:])))
    print(json.dumps(opened), flush=True)
    os._exit(0)  # thousands of connections would be closed one by one


if __name__ == "__main__":
    main()
