"""No answer of the coordinator's is read beyond the size that such an answer has, and none is unpacked."""

from collections.abc import Iterator
from typing import cast

import httpx

LARGEST_PART, LARGEST_ANSWER = 8 * 2**20, 2**20
"""Bytes of an answer that carries a part of a message, and of any other. The networks have less than one MiB of weights."""

CARRIES_A_PART = "/pull-object"


class AnswerTooLarge(ValueError):
    """Says how large; nothing of the answer was kept."""


class BoundedTransport(httpx.BaseTransport):
    """Another transport, whose answers end with `AnswerTooLarge` as soon as they are larger than they may be.

    A packed answer is refused, too: a few bytes of it can stand for any number.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["accept-encoding"] = "identity"
        response = self._transport.handle_request(request)
        largest = LARGEST_PART if request.url.path.endswith(CARRIES_A_PART) else LARGEST_ANSWER
        try:
            _check_head(response.headers, largest)
        except AnswerTooLarge:
            response.close()
            raise
        stream = _Bounded(cast(httpx.SyncByteStream, response.stream), largest)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=stream,
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._transport.close()


class _Bounded(httpx.SyncByteStream):
    """Also where the head states no length."""

    def __init__(self, stream: httpx.SyncByteStream, largest: int) -> None:
        self._stream, self._largest = stream, largest

    def __iter__(self) -> Iterator[bytes]:
        length = 0
        for chunk in self._stream:
            length += len(chunk)
            if length > self._largest:
                raise AnswerTooLarge(f"an answer of more than {self._largest} bytes")
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _check_head(headers: httpx.Headers, largest: int) -> None:
    if headers.get("content-encoding", "identity") != "identity":
        raise AnswerTooLarge(
            f"an answer packed with {headers['content-encoding'][:40]!r}, which nobody asked for"
        )
    stated = headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated[:20]) > largest:
        raise AnswerTooLarge(f"an answer of {stated[:20]} bytes, more than {largest}")
