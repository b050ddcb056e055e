"""Hostile parts of messages and hostile answers are refused."""

import io
import random
import socket
import time
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from numpy.lib import format as npy
from numpy.typing import NDArray

from ecgfl_cli.federation.connection.clock import seconds_ahead
from ecgfl_cli.federation.flower.codec import arrays_of, content_of
from ecgfl_cli.federation.flower.connections import (
    MOST_WAITING,
    MOST_WAITING_OF_AN_ADDRESS,
    STRANGER_SECONDS,
    Queue,
)
from ecgfl_cli.federation.flower.message_bounds import MessageTooLarge, check_part
from ecgfl_cli.federation.flower.refusals import Refusals, error_code
from ecgfl_cli.federation.messages import weights_of

HEADERS = [
    "(",
    "{{}: 1}",
    "{'descr': (), 'fortran_order': False, 'shape': (4,)}",
    "-" * 9000 + "1",
    "1j" + "+1j" * 20_000,
    "[" * 50_000,
    "{'descr': '|O', 'fortran_order': False, 'shape': (4,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (10**12,)}",
    "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}",
]


def received_weights(message: Message) -> NDArray[np.float32]:
    return weights_of(content_of(message.content))


def with_weights(array: Array) -> Message:
    return Message(
        RecordDict({"arrays": ArrayRecord({"flat": array})}), dst_node_id=1, message_type="train"
    )


@pytest.mark.parametrize("header", HEADERS, ids=lambda text: text[:20])
def test_array_header_is_not_evaluated(header: str) -> None:
    text = header.encode()[:60_000]
    data = npy.magic(1, 0) + len(text).to_bytes(2, "little") + text + b"\0" * 16
    with pytest.raises(ValueError, match="expected a flat float32 vector"):
        received_weights(with_weights(Array("float32", (4,), "numpy.ndarray", data)))


def test_damaged_headers_are_refused() -> None:
    """A valid array with each byte of its header changed, or cut to a wrong length, is refused."""
    file = io.BytesIO()
    np.save(file, np.arange(4, dtype="<f4"))
    valid, generator = file.getvalue(), random.Random(0)
    for index in range(128):
        data = bytearray(valid)
        data[index] ^= generator.randrange(1, 256)
        with pytest.raises(ValueError, match="expected"):
            received_weights(with_weights(Array("float32", (4,), "numpy.ndarray", bytes(data))))
    for length in (0, 5, 127, 129, 130, 143):
        with pytest.raises(ValueError, match="expected"):
            received_weights(with_weights(Array("float32", (4,), "numpy.ndarray", valid[:length])))


@pytest.mark.parametrize("length", [0, 1, 9, 10, 185_000])
def test_weights_are_read_as_they_were_written(length: int) -> None:
    vector = np.arange(length, dtype=np.float32)
    message = Message(
        RecordDict({"arrays": arrays_of(vector)}), dst_node_id=1, message_type="train"
    )
    assert np.array_equal(received_weights(message), vector)


def test_record_with_very_many_names_is_refused() -> None:
    content = RecordDict(
        {"metrics": MetricRecord({f"name-{number}": number for number in range(20_000)})}
    )
    parts = get_all_nested_objects(Message(content, dst_node_id=1, message_type="train")).values()
    with pytest.raises(MessageTooLarge, match="a record of"):
        [check_part(part.deflate()) for part in parts]


def test_parts_of_ordinary_messages_are_accepted() -> None:
    message = Message(
        RecordDict({"arrays": arrays_of(np.zeros(300_000, np.float32))}),
        dst_node_id=1,
        message_type="train",
    )
    for part in get_all_nested_objects(message).values():
        check_part(part.deflate())


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"[" * 60_000, "application/json"),
        (b'{"code":' + b"9" * 5000 + b"}", "application/json"),
        (b'{"code": "x"}', "application/json"),
        (b"\xff\xfe", "application/json; charset=zlib"),
        (b"\xff" * 100, "text/plain; charset=no-such"),
        (b"", "application/json"),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_any_server_answer_gives_an_error_or_reason(content: bytes, kind: str, status: int) -> None:
    response = httpx.Response(
        status,
        content=content,
        headers={"content-type": kind},
        request=httpx.Request("POST", "https://x/"),
    )
    assert error_code(response) is None
    refusals = Refusals("x:1", None)
    meaning = refusals.of(
        httpx.HTTPStatusError("x", request=response.request, response=response), None
    )
    assert isinstance(meaning, Exception | str)


@pytest.mark.parametrize(
    "date",
    [
        "Thu, 01 Jan 2020 1:1:" + "9" * 30 + " GMT",
        "x",
        "",
        "Thu, 99 Jan 0000 00:00:00 GMT",
        "1",
        "9" * 5000,
        "\u0661",
    ],
)
def test_any_date_header_is_handled(date: str) -> None:
    ahead = seconds_ahead(date, datetime.now(UTC))
    assert ahead is None or isinstance(ahead, float)


def test_addresses_take_turns_for_the_handshake() -> None:
    queue, made = Queue(), []

    def add(address: str) -> socket.socket:
        made.append(socket.socket())
        queue.add(made[-1], address, now)
        return made[-1]

    now = time.monotonic()
    try:
        flood = [add("10.0.0.1") for _ in range(3 * MOST_WAITING_OF_AN_ADDRESS)]
        honest = add("10.0.0.2")
        assert sum(each.fileno() >= 0 for each in flood) == MOST_WAITING_OF_AN_ADDRESS
        assert {queue.take(now), queue.take(now)} == {flood[-1], honest}
        for number in range(2 * MOST_WAITING):
            add(f"10.1.{number // 250}.{number % 250}")
        assert sum(each.fileno() >= 0 for each in made) <= MOST_WAITING + 2
        assert queue.take(now + STRANGER_SECONDS + 1) is None
        assert sum(each.fileno() >= 0 for each in made) == 2
    finally:
        for each in made:
            each.close()
