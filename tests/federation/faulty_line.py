"""A line between a site and its coordinator that can be cut, held, slowed down and broken.

What passes is TLS. The line sees bytes and their direction, and a message ends when the other side
begins to send.
"""

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["up", "down"]
"""From the site to the coordinator, and back."""

OTHER: dict[Direction, Direction] = {"up": "down", "down": "up"}
CHUNK = 16_384
RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing the socket resets the connection."""


@dataclass
class _Link:
    """One connection. message : bytes of the message that is on its way in each direction."""

    ends: dict[Direction, tuple[socket.socket, socket.socket]]
    message: Counter[Direction] = field(default_factory=Counter)
    closed: bool = False

    def reset(self) -> None:
        self.closed = True
        for end in self.ends["up"]:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)  # wakes whoever reads from it
            end.close()


@dataclass
class _Break:
    """A break after `after` bytes of one message in a direction.

    holds : whether the line is held there, or reset. spares : number of longer messages that pass
    before.
    """

    direction: Direction
    after: int
    holds: bool
    spares: int = 0


class FaultyLine:
    """A line with a port of 127.0.0.1 at each end.

    leads_to : port of the coordinator. passed : bytes in each direction so far. broken : number of
    messages that broke off or were held. opened : number of connections so far, including those
    that were refused.
    """

    def __init__(self, leads_to: int) -> None:
        self.leads_to = leads_to
        self.passed: Counter[Direction] = Counter()
        self.broken = self.opened = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self._links: list[_Link] = []
        self._breaks: list[_Break] = []
        self._cut = self._held = False
        self._delay = 0.0
        threading.Thread(target=self._accept, name="line", daemon=True).start()

    def cut(self) -> None:
        """Reset all connections and every one that is tried from now on."""
        with self._changed:
            self._cut = True
            links, self._links = self._links, []
            for link in links:
                link.reset()
            self._changed.notify_all()

    def hold(self) -> None:
        """Let nothing pass, and keep what comes: as behind a router that has died."""
        with self._changed:
            self._held = True

    def slow_down(self, seconds: float) -> None:
        """Keep every chunk for so long."""
        with self._changed:
            self._delay = seconds

    def break_off(self, direction: Direction, after: int, times: int = 1) -> None:
        """Reset the connection after `after` bytes of each of the next `times` longer messages."""
        with self._changed:
            self._breaks += [_Break(direction, after, holds=False)] * times

    def hold_within(self, direction: Direction, after: int, spares: int = 0) -> None:
        """Hold the line after `after` bytes of the next longer message.

        spares : number of longer messages that pass before.
        """
        with self._changed:
            self._breaks.append(_Break(direction, after, holds=True, spares=spares))

    def heal(self) -> None:
        """A line without a fault. What was held goes on."""
        with self._changed:
            self._cut = self._held = False
            self._delay, self._breaks = 0.0, []
            self._changed.notify_all()

    def wait_until_broken(self, times: int = 1, seconds: float = 60.0) -> None:
        """Until so many messages broke off or were held within."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.broken >= times, seconds), (
                f"{self.broken} messages broke in {seconds} s"
            )

    def wait_until_passed(self, direction: Direction, length: int, seconds: float = 60.0) -> None:
        """Until so many bytes have passed since the line is there."""
        with self._changed:
            passed = self._changed.wait_for(lambda: self.passed[direction] >= length, seconds)
        assert passed, f"{self.passed[direction]} bytes passed in {seconds} s"

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            self.opened += 1
            try:
                server = socket.create_connection(("127.0.0.1", self.leads_to), 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            link = _Link({"up": (client, server), "down": (server, client)})
            with self._changed:
                if self._cut:
                    link.reset()
                    continue
                self._links = [each for each in self._links if not each.closed] + [link]
            for direction in OTHER:
                threading.Thread(
                    target=self._pass_on, args=(link, direction), name="line", daemon=True
                ).start()

    def _pass_on(self, link: _Link, direction: Direction) -> None:
        source, target = link.ends[direction]
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK):
                for part in self._let_through(link, direction, chunk):
                    target.sendall(part)
                    with self._changed:
                        self.passed[direction] += len(part)
                        self._changed.notify_all()
        link.reset() if link.closed else self._end(link)

    @staticmethod
    def _end(link: _Link) -> None:
        link.closed = True
        for end in link.ends["up"]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _let_through(self, link: _Link, direction: Direction, chunk: bytes) -> Iterator[bytes]:
        """The parts of a chunk, each when it may go. Raises `OSError` where the line breaks."""
        self._wait(link)
        time.sleep(self._delay)
        with self._changed:
            link.message[OTHER[direction]] = 0
            before = link.message[direction]
            link.message[direction] += len(chunk)
            now = link.message[direction]
            found = next(
                (
                    each
                    for each in self._breaks
                    if each.direction == direction and before <= each.after < now
                ),
                None,
            )
            if found is not None and found.spares:
                found.spares -= 1
                found = None
            elif found is not None:
                self._breaks.remove(found)
                self._held = self._held or found.holds
        if found is None:
            yield chunk
            return
        length = found.after - before
        yield chunk[:length]
        with self._changed:
            self.broken += 1
            self._changed.notify_all()
        if not found.holds:
            link.reset()
            raise ConnectionResetError
        self._wait(link)
        yield chunk[length:]

    def _wait(self, link: _Link) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._held or link.closed)


@contextlib.contextmanager
def faulty_line(leads_to: int) -> Iterator[FaultyLine]:
    line = FaultyLine(leads_to)
    try:
        yield line
    finally:
        line.close()
