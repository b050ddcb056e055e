"""What a message may be made of: Flower puts together whatever number of parts it is told of, one of them any number of times."""

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

MOST_PARTS, LARGEST_MESSAGE = 32, 16 * 2**20
"""A request of ours has seven parts."""

LARGEST_RECORD, ARRAY_PIECE = 256 * 2**10, "ArrayChunk"
"""Bytes of a part that holds no numbers of an array. The largest of ours is the signed request."""


class MessageTooLarge(ValueError):
    """The message was given up; what came of it was let go."""


def check_tree(tree: ObjectTree) -> None:
    """Raises `MessageTooLarge` for more parts than a message has, and `ValueError` for names that are none."""
    for number, part in enumerate(iterate_object_tree(tree), start=1):
        if number > MOST_PARTS:
            raise MessageTooLarge(f"a message of more than {MOST_PARTS} parts")
        if not is_valid_sha256_hash(part.object_id):
            raise ValueError("a part whose name is no hash")


def check_part(content: bytes) -> None:
    """Raises `MessageTooLarge` for an array in several pieces: ours have one, and one piece could be named a million times; and
    for a large part that is not a piece of an array: a record with hundreds of thousands of names takes seconds to read.
    """
    if (
        len(content) > LARGEST_RECORD
        and get_object_type_from_object_content(content) != ARRAY_PIECE
    ):
        raise MessageTooLarge(f"a record of {len(content)} bytes, more than {LARGEST_RECORD}")
    if get_object_type_from_object_content(content) == Array.__qualname__:
        pieces = json.loads(get_object_body(content, Array))["arraychunk_ids"]
        if len(pieces) > 1:
            raise MessageTooLarge(f"an array in {len(pieces)} pieces")


class BoundedPull:
    """Pulls the parts of one message, from several threads, until they come to more than a message may have."""

    def __init__(self, pull: Callable[[str], bytes]) -> None:
        self._pull, self._left, self._lock = pull, LARGEST_MESSAGE, threading.Lock()

    def __call__(self, name: str) -> bytes:
        content = self._pull(name)
        with self._lock:
            self._left -= len(content)
            if self._left < 0:
                raise MessageTooLarge(f"a message of more than {LARGEST_MESSAGE} bytes")
        check_part(content)
        return content
