"""Limit the number and the size of a message's parts.

Flower itself accepts any number of parts, and a message may name the same part any number of times.
"""

import json
import threading
from collections.abc import Callable

from flwr.app import Array
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import (
    get_object_body,
    get_object_type_from_object_content,
    is_valid_sha256_hash,
    iterate_object_tree,
)

MOST_PARTS = 32
"""Largest number of parts of a message. A request of ecgfl has seven."""

LARGEST_MESSAGE = 16 * 2**20
"""Largest size of a message in bytes."""

LARGEST_RECORD = 256 * 2**10
"""Largest size in bytes of a part that is not a chunk of an array.

The largest such part of ecgfl is the signed request.
"""

ARRAY_CHUNK = "ArrayChunk"
"""Flower's type of a part that holds numbers of an array."""


class MessageTooLarge(ValueError):
    """A message was rejected for its size; its parts were dropped."""


def check_tree(tree: ObjectTree) -> None:
    """Check the names of a message's parts.

    Parameters
    ----------
    tree
        The parts of the message.

    Raises
    ------
    MessageTooLarge
        There are more than `MOST_PARTS`.
    ValueError
        A name is not a SHA-256 hash.
    """
    for number, part in enumerate(iterate_object_tree(tree), start=1):
        if number > MOST_PARTS:
            raise MessageTooLarge(f"a message of more than {MOST_PARTS} parts")
        if not is_valid_sha256_hash(part.object_id):
            raise ValueError("the name of a part is not a hash")


def check_part(content: bytes) -> None:
    """Check the size of one part.

    Parameters
    ----------
    content
        Content of the part.

    Raises
    ------
    MessageTooLarge
        An array has several chunks, or a part that is not a chunk is too large. Arrays of ecgfl
        have one chunk, and a message could name the same chunk a million times. A record with
        hundreds of thousands of names takes seconds to read.
    """
    kind = get_object_type_from_object_content(content)
    if kind != ARRAY_CHUNK and len(content) > LARGEST_RECORD:
        raise MessageTooLarge(f"a record of {len(content)} bytes, more than {LARGEST_RECORD}")
    if kind == Array.__qualname__:
        chunks = json.loads(get_object_body(content, Array))["arraychunk_ids"]
        if len(chunks) > 1:
            raise MessageTooLarge(f"an array in {len(chunks)} chunks")


class BoundedPull:
    """Pull the parts of one message, up to the largest size of a message.

    Several threads may call it.

    Parameters
    ----------
    pull
        Returns the content of the part with a name.
    """

    def __init__(self, pull: Callable[[str], bytes]) -> None:
        self._pull = pull
        self._left = LARGEST_MESSAGE
        self._lock = threading.Lock()

    def __call__(self, name: str) -> bytes:
        """Return the content of a part.

        Raises
        ------
        MessageTooLarge
            The part or the whole message is too large.
        """
        content = self._pull(name)
        with self._lock:
            self._left -= len(content)
            if self._left < 0:
                raise MessageTooLarge(f"a message of more than {LARGEST_MESSAGE} bytes")
        check_part(content)
        return content
