"""A message that is too large is refused early, with little memory, before data is read."""

import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from federation_homes import Homes
from hostile_server import Answer, HostileServer, content, hostile_server, named, part, tree
from node_processes import Processes, contents, told

from ecgfl_cli.federation.flower.answer_bounds import LARGEST_PART
from ecgfl_cli.federation.flower.message_bounds import LARGEST_MESSAGE, MOST_PARTS
from ecgfl_cli.federation.site import local_work
from ecgfl_cli.logs import Event

MIB = 2**20
TWO_GIB = 2 * 2**30
MOST_MEMORY = 100 * MIB
A, B = "a" * 64, "b" * 64


@dataclass(frozen=True)
class Hostile:
    """said : what the site says of it."""

    said: str
    offer: Callable[[HostileServer], None]


def answered(how: Answer) -> Callable[[HostileServer], None]:
    """A message of one part, which is answered so."""
    return lambda server: server.offer(tree(A), lambda _: how)


def never_there(server: HostileServer) -> None:
    """A message that is announced for ever, and is never there when it is fetched."""
    server.for_ever = True
    answered(lambda handler: handler.answer(b""))(server)


def made_of(*contents: bytes, first: str | None = None) -> Callable[[HostileServer], None]:
    """A message of these parts, the last of which holds the others."""
    parts = named(*contents)
    names = list(parts)[::-1]
    return lambda server: server.offer(tree(*([first] if first else []), *names), parts)


def in_pieces(length: int, times: int) -> Callable[[HostileServer], None]:
    """An array that names one piece again and again."""
    piece = content("ArrayChunk", body=bytes(length))
    (name,) = named(piece)
    about = {
        "dtype": "float32",
        "shape": [1],
        "stype": "numpy.ndarray",
        "arraychunk_ids": [0] * times,
    }
    return made_of(piece, content("Array", (name,), json.dumps(about).encode()))


def nested(depth: int) -> Callable[[HostileServer], None]:
    below = tree(A)
    for _ in range(depth):
        above = tree(A)
        above.children.append(below)
        below = above
    return lambda server: server.offer(below, {A: content("RecordDict", (), b"{}")})


def large_in_sum(server: HostileServer) -> None:
    piece = content("ArrayChunk", body=bytes(LARGEST_PART - MIB))
    names = (f"{number:064x}" for number in range(LARGEST_MESSAGE // len(piece) + 1))
    server.offer(tree(*names), lambda _: part(piece))


HOSTILE: dict[str, Hostile] = {
    "2-gib-stated": Hostile(
        "an answer of 2147483648 bytes",
        answered(lambda handler: handler.answer(bytes(99), TWO_GIB)),
    ),
    "no-end": Hostile(
        f"an answer of more than {LARGEST_PART} bytes", answered(lambda handler: handler.endless())
    ),
    "packed": Hostile(
        "an answer compressed with 'gzip'",
        answered(
            lambda handler: handler.answer(gzip.compress(bytes(64 * MIB)), content_encoding="gzip")
        ),
    ),
    "large-in-sum": Hostile(f"a message of more than {LARGEST_MESSAGE} bytes", large_in_sum),
    "one-piece-for-ever": Hostile("an array in 1000 chunks", in_pieces(4 * MIB, 1000)),
    "a-record-for-ever": Hostile("a record of ", in_pieces(4 * MIB, 100_000)),
    "many-parts": Hostile(
        f"a message of more than {MOST_PARTS} parts",
        lambda server: server.offer(
            tree(*(f"{number:064x}" for number in range(MOST_PARTS + 1))), {}
        ),
    ),
    "deep": Hostile(f"a message of more than {MOST_PARTS} parts", nested(80)),
    "part-of-itself": Hostile(
        "a message whose content is broken",
        lambda server: server.offer(
            tree(A), {A: content("Array", (A,), b'{"arraychunk_ids": [0]}')}
        ),
    ),
    "no-hash": Hostile(
        "a message whose content is broken", lambda server: server.offer(tree("../etc"), {})
    ),
    "another-kind": Hostile(
        "a message whose content is broken", made_of(content("Pickle", (), b"\x80\x04K\x01."))
    ),
    "no-message": Hostile(
        "a message whose content is broken", made_of(content("RecordDict", (), b"{}"))
    ),
    "no-form": Hostile("a message whose content is broken", made_of(bytes(1000))),
    "part-missing": Hostile(
        "a message whose content is broken",
        lambda server: server.offer(tree(A), {A: content("RecordDict", (B,), b"{}")}),
    ),
    "never-there": Hostile("11 messages in a row that could not be fetched", never_there),
}


@pytest.fixture
def server(homes: Homes) -> Iterator[HostileServer]:
    with hostile_server(homes) as running:
        yield running


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_and_written_down_before_data_is_touched(
    homes: Homes, server: HostileServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(
        local_work, "load_dataset", lambda *_: pytest.fail("the site's data was touched")
    )
    alice = homes.site("alice")
    before = contents(alice.root)
    HOSTILE[name].offer(server)
    line = told(
        alice.root, "join", "--server", f"localhost:{server.port}", "--once", "--max-wait", "20s"
    ).refused(4)
    assert HOSTILE[name].said in line
    assert contents(alice.root) == before
    assert told(alice.root, "audit", "verify").code == 0
    entries = [json.loads(entry) for entry in alice.audit.read_text().splitlines()][-3:]
    assert [entry["event"] for entry in entries] == ["join", "refused", "leave"]
    assert HOSTILE[name].said in entries[1]["reason"]


def test_an_answer_of_2_gib_to_any_other_call_is_refused(
    homes: Homes, server: HostileServer
) -> None:
    server.messages = lambda handler: handler.answer(bytes(99), TWO_GIB)
    line = told(
        homes.site("alice").root,
        "join",
        "--server",
        f"localhost:{server.port}",
        "--once",
        "--max-wait",
        "20s",
    ).refused(4)
    assert "an answer of 2147483648 bytes" in line


@pytest.mark.skipif(
    sys.platform != "linux", reason="the most memory that a process has had is read from /proc"
)
def test_none_of_it_takes_much_memory_and_the_site_stays(
    homes: Homes, server: HostileServer, processes: Processes
) -> None:
    """One site that stays meets them all."""
    site = processes.start(homes.site("alice").root, "join", "--server", f"localhost:{server.port}")
    site.wait_for(Event.CONNECTED)
    before = _most_memory(site.pid)
    for name in (
        "2-gib-stated",
        "no-end",
        "packed",
        "large-in-sum",
        "one-piece-for-ever",
        "many-parts",
    ):
        refused = len(site.logged(Event.RETRYING))
        HOSTILE[name].offer(server)
        _wait_for(lambda refused=refused: len(site.logged(Event.RETRYING)) > refused)
        assert HOSTILE[name].said in site.logged(Event.RETRYING)[refused]["message"]
    assert _most_memory(site.pid) - before < MOST_MEMORY
    ended = site.end()
    assert ended.code == 130, ended.said


def _most_memory(pid: int) -> int:
    """Bytes that the process had at most so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _wait_for(true: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
