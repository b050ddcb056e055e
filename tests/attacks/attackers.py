"""Clients without a key that try to exhaust a coordinator.

They keep connections open, send endless headers, and send bodies without a valid signature.

Usage: python attackers.py PORT IDLE SLOW FLOODS. The program ends when its standard input is
closed, and prints how many connections of each kind it has opened, as JSON.
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

HEAD = (
    b"POST /v1/fleet/push-object HTTP/1.1\r\n"
    b"host: localhost\r\ncontent-type: application/protobuf\r\n"
)
INVENTED = b"".join(
    (
        *(b"ecgfl-key: QUJD\r\n", b"ecgfl-signature: QUJD\r\n", b"ecgfl-time: 1700000000.000\r\n"),
        *(b"ecgfl-nonce: " + b"0" * 32 + b"\r\n", b"ecgfl-body-sha256: " + b"0" * 64 + b"\r\n"),
        b"flwr-signature: QUJD\r\n",
    )
)
MIB = 2**20
PAUSE_SECONDS = 0.2
"""Pause before a dropped connection is opened again."""

Action = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def idle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Send nothing after the TLS handshake."""
    await reader.read()


async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send endless headers, one byte a second."""
    for byte in HEAD + b"x: " + b"y" * MIB:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)
        if reader.at_eof() or writer.is_closing():
            return


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send endless headers as fast as possible."""
    writer.write(HEAD + b"x: ")
    while not (reader.at_eof() or writer.is_closing()):
        writer.write(b"y" * 65536)
        await writer.drain()
        # `drain` does not yield to the loop if the buffer is empty.
        await asyncio.sleep(0)


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a body of 1 MiB with an invented signature."""
    writer.write(HEAD + INVENTED + b"content-length: %d\r\n\r\n" % MIB)
    writer.write(b"z" * MIB)
    await writer.drain()
    await reader.read()


class Attack:
    """Open connections to a port of this machine again and again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        self.opened: Counter[str] = Counter()

    async def repeat(self, name: str, action: Action, tls: bool = True) -> None:
        """Open a connection and act on it, for ever."""
        while True:
            with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                await self._once(name, action, tls)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _once(self, name: str, action: Action, tls: bool) -> None:
        options = (
            {"ssl": self._tls, "ssl_handshake_timeout": 30, "ssl_shutdown_timeout": 1}
            if tls
            else {}
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, **options)
        self.opened[name] += 1
        try:
            await action(reader, writer)
        finally:
            writer.transport.abort()


async def attack_until_end(port: int, idles: int, slows: int, floods: int) -> Counter[str]:
    """Attack until standard input is closed. Return the number of connections by kind."""
    attack = Attack(port)
    actions = [attack.repeat("idle", idle) for _ in range(idles // 2)]
    actions += [attack.repeat("silent", idle, tls=False) for _ in range(idles - idles // 2)]
    actions += [attack.repeat("slow", slow) for _ in range(slows)]
    actions += [attack.repeat("flood", flood) for _ in range(floods)]
    actions += [attack.repeat("endless", endless) for _ in range(floods // 4)]
    tasks = [asyncio.create_task(action) for action in actions]
    await asyncio.to_thread(sys.stdin.read)
    del tasks
    return attack.opened


def main() -> None:
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it logs each dropped connection
    with contextlib.suppress(ImportError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    opened = asyncio.new_event_loop().run_until_complete(attack_until_end(*map(int, sys.argv[1:])))
    print(json.dumps(opened), flush=True)
    os._exit(0)  # a normal exit would close thousands of connections one by one


if __name__ == "__main__":
    main()
