"""The text of a table, plain or packed with gzip, in the encodings that programs write."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, cast

from ecgfl_adapters.errors import FileMissing, FileUnreadable

BLOCK = 1 << 23
"""Number of characters that are processed at a time, which limits the memory for the text."""

HEAD = 1 << 18
"""Number of bytes from which the form of a file is detected."""

MAX_RATIO = 200
FREE_BYTES = 1 << 26
"""A gzip file is refused as a decompression bomb if its content is larger than `FREE_BYTES` and
larger than `MAX_RATIO` times the file. Text of digits shrinks to a third, a flat line to a
hundredth.
"""

MAX_LINE = 1 << 20

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SIGNS = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-")
"""Hyphens, dashes and minus signs, which spreadsheets write for "-"."""
_CODE_PAGE_1252 = {"\x92": "\u2019", "\x96": "-", "\x97": "-"}
"""Characters of the code page that are control characters in Latin-1."""
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class TextFile:
    """A file whose encoding is known.

    Parameters
    ----------
    path : Path
        The file.
    encoding : {"utf-8", "utf-16-le", "utf-16-be", "latin-1"}
        Its encoding.
    mark : int
        Length of its byte order mark in bytes.
    compressed : bool
        Whether it is packed with gzip.
    lines : tuple of str
        The lines in its first `HEAD` bytes.
    complete : bool
        Whether these are all lines.
    """

    path: Path
    encoding: str
    mark: int
    compressed: bool
    lines: tuple[str, ...]
    complete: bool

    def blocks(self) -> Iterator[bytes]:
        r"""Yield the whole text as UTF-8 in blocks of whole lines, which end with "\n".

        Raises
        ------
        FileUnreadable
            If the file is not text, or has a line longer than `MAX_LINE`.
        """
        with _opened(self.path, self.compressed) as file:
            file.read(self.mark)
            reader = TextIOWrapper(file, self.encoding, "replace")
            rest = ""
            while text := reader.read(BLOCK):
                if self.compressed:
                    _refuse_bomb(self.path, file.tell())
                if "\0" in text:
                    raise FileUnreadable(
                        self.path,
                        "it contains bytes that are 0: not a text file",
                        "Give the right format with --input-format",
                    )
                text = rest + _with_plain_signs(text, self.encoding)
                cut = text.rfind("\n") + 1
                if len(text) - cut > MAX_LINE:
                    raise FileUnreadable(
                        self.path,
                        f"the file has a line of more than {MAX_LINE} bytes",
                        "Export one sample per line",
                    )
                rest = text[cut:]
                if cut:
                    yield text[:cut].encode()
            if rest:
                yield f"{rest}\n".encode()


def open_text(path: Path, head: int = HEAD) -> TextFile:
    """Detect the encoding of a file from its first `head` bytes.

    Raises
    ------
    FileMissing
        If the file cannot be opened.
    FileUnreadable
        If it is not a text file, or its gzip data are broken.
    """
    with _opened(path, compressed=False) as file:
        compressed = file.read(2) == _GZIP
    with _opened(path, compressed) as file:
        raw = file.read(head)
    mark, encoding = next(
        ((len(mark), name) for mark, name in _MARKS if raw.startswith(mark)), (0, _guess(raw))
    )
    if encoding == "utf-8" and b"\0" in raw:
        raise FileUnreadable(
            path,
            f"byte {raw.index(0)} is 0: not a text file",
            "Give the right format with --input-format",
        )
    text = raw[mark:].decode(encoding, "ignore" if encoding.startswith("utf-16") else "replace")
    text = _with_plain_signs(text, encoding)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    complete = len(raw) < head
    if not complete or lines[-1] == "":
        lines.pop()
    return TextFile(path, encoding, mark, compressed, tuple(lines), complete)


def _guess(raw: bytes) -> str:
    """Return the encoding of a text without a byte order mark.

    UTF-16 is recognised by every second byte being 0, as it is in a table of digits.
    """
    start = raw[:200]
    if len(start) >= 8 and b"\0" in start:
        even, odd = start[: len(start) // 2 * 2 : 2], start[1::2]
        if not any(odd) and all(even):
            return "utf-16-le"
        if not any(even) and all(odd):
            return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(raw)
    except UnicodeDecodeError:
        return "utf-8" if b"\0" in raw else "latin-1"
    return "utf-8"


@contextmanager
def _opened(path: Path, compressed: bool) -> Iterator[IO[bytes]]:
    """Open a file for reading its content, and convert the errors of reading it."""
    try:
        with path.open("rb") as raw:
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if compressed else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileUnreadable(
            path, f"the gzip data are broken or cut off ({error})", "Copy the file again"
        ) from error
    except OSError as error:
        raise FileMissing(
            path,
            f"cannot be opened ({error.strerror or error})",
            "Check the path and its permissions",
        ) from error


def _refuse_bomb(path: Path, unpacked: int) -> None:
    """Raise `FileUnreadable` for a gzip file that contains far more than a table would."""
    packed = path.stat().st_size
    if unpacked > max(FREE_BYTES, MAX_RATIO * packed):
        raise FileUnreadable(
            path,
            f"{packed} bytes of gzip unpack to more than {unpacked}: a decompression bomb, or a "
            "signal without content",
            "If it is a recording, unpack it with gunzip and ingest the result",
        )


def _with_plain_signs(text: str, encoding: str) -> str:
    """Return `text` with "-" for the minus signs of spreadsheets."""
    if not text.isascii():
        for sign, plain in (_CODE_PAGE_1252 if encoding == "latin-1" else _SIGNS).items():
            text = text.replace(sign, plain)
    return text
