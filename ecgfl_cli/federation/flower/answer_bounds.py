"""Limit the size of the coordinator's answers, and refuse compressed ones."""

from collections.abc import Iterator
from typing import cast

import httpx

LARGEST_PART = 8 * 2**20
"""Largest answer with a part of a message, in bytes.

The networks have less than 1 MiB of weights.
"""

LARGEST_ANSWER = 2**20
"""Largest size of any other answer, in bytes."""

PULL_PART = "/pull-object"
"""End of the path of calls that fetch a part of a message."""


class AnswerTooLarge(ValueError):
    """An answer was dropped because of its size or its compression."""


class BoundedTransport(httpx.BaseTransport):
    """Limit the answers of another transport.

    Reading an answer raises `AnswerTooLarge` as soon as it is too large. A compressed answer is
    refused, too, because a few bytes can expand to any size.

    Parameters
    ----------
    transport
        The transport that sends the requests.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer.

        Raises
        ------
        AnswerTooLarge
            The headers of the answer state a size that is too large, or a compression.
        """
        request.headers["accept-encoding"] = "identity"
        response = self._transport.handle_request(request)
        largest = LARGEST_PART if request.url.path.endswith(PULL_PART) else LARGEST_ANSWER
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
        """Close the other transport."""
        self._transport.close()


class _Bounded(httpx.SyncByteStream):
    """The body of an answer. Its size is checked while it is read: the headers may state none."""

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
            f"an answer compressed with {headers['content-encoding'][:40]!r}, which was not"
            " requested"
        )
    stated = headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated[:20]) > largest:
        raise AnswerTooLarge(f"an answer of {stated[:20]} bytes, more than {largest}")
