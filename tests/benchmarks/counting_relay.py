"""A TCP relay on 127.0.0.1 that counts the bytes that pass through it."""

import asyncio
import contextlib
import socket
import threading

CHUNK_BYTES = 65_536


class CountingRelay:
    """Relay connections to another port of this machine, as a context manager.

    Attributes
    ----------
    port
        Port on which the relay listens.
    bytes
        Number of bytes that have passed so far, in both directions.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self.port = int(self._listener.getsockname()[1])
        self.bytes = 0

    def __enter__(self) -> "CountingRelay":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._listener.close()

    def _run(self) -> None:
        self._loop.run_until_complete(asyncio.start_server(self._relay, sock=self._listener))
        self._loop.run_forever()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            other_reader, other_writer = await asyncio.open_connection(
                "127.0.0.1", self._target_port
            )
            await asyncio.gather(self._copy(reader, other_writer), self._copy(other_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                self.bytes += len(chunk)
                writer.write(chunk)
                await writer.drain()
        writer.close()
