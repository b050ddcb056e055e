"""The text of a table of numbers, block by block: plain or gzip, in the encodings that programs
write.
"""

import codecs
import gzip
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from ecgfl_adapters.errors import FileMissing, FileUnreadable

BLOCK = 1 << 23
"""Bytes that are worked on at a time: a day needs no more memory for its text than a minute."""

HEAD = 1 << 18
"""Bytes from which a file's form is found out."""

MAX_RATIO = 200
FREE_BYTES = 1 << 26
"""A gzip file that unpacks to more than both, `FREE_BYTES` and `MAX_RATIO` times its size, is taken
for a decompression bomb: digits shrink to a third, a flat line to a hundredth.
"""

MAX_LINE = 1 << 20

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MINUS_SIGNS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d"), "-")
"""Hyphens, dashes and minus signs."""
_OF_CODE_PAGE_1252 = {0x92: "\u2019", 0x96: "-", 0x97: "-", 0xA0: "\u00a0"}
"""Signs in tables of numbers that the code page has and Latin-1 has elsewhere, and the blank that
does not break.
"""
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class TextFile:
    """A file whose encoding is known.

    encoding : "utf-8", "utf-16-le", "utf-16-be" or "latin-1". mark : bytes of its byte order mark.
    compressed : by gzip.
    lines : those of its first `HEAD` bytes. complete : whether these are all.
    """

    path: Path
    encoding: str
    mark: int
    compressed: bool
    lines: tuple[str, ...]
    complete: bool

    def blocks(self) -> Iterator[bytes]:
        """The whole text as UTF-8 with "\\n" after each line, some megabytes of whole lines at a
        time.

        Latin-1 is passed on as it is: what is no ASCII is no number either. Raises
        `FileUnreadable`.
        """
        decoder = (
            codecs.getincrementaldecoder(self.encoding)("replace")
            if self.encoding.startswith("utf-16")
            else None
        )
        rest = b""
        for raw in _chunks(self.path, self.compressed, self.mark):
            chunk = raw if decoder is None else decoder.decode(raw).encode("utf-8", "replace")
            if b"\0" in chunk:
                raise FileUnreadable(
                    self.path,
                    "holds bytes that are 0: not a text file",
                    "Give the right format with --input-format",
                )
            text = rest + chunk
            held = b"\r" if text.endswith(b"\r") else b""  # its "\n" may come with the next chunk
            text = _with_minus_signs(_with_newlines(text[:-1] if held else text), self.encoding)
            cut = text.rfind(b"\n") + 1
            if len(text) - cut > MAX_LINE:
                raise FileUnreadable(
                    self.path,
                    f"has a line of more than {MAX_LINE} bytes",
                    "Export one sample a line",
                )
            rest = text[cut:] + held
            if cut:
                yield text[:cut]
        if rest:
            yield _with_minus_signs(_with_newlines(rest), self.encoding) + b"\n"


def open_text(path: Path, head: int = HEAD) -> TextFile:
    """Find out the encoding from the first `head` bytes.

    Raises `FileMissing` and `FileUnreadable`.
    """
    compressed = _is_gzip(path)
    raw = next(_chunks(path, compressed, 0, head), b"")
    complete = len(raw) < head
    mark, encoding = next(
        ((len(mark), name) for mark, name in _MARKS if raw.startswith(mark)), (0, _guess(raw))
    )
    if encoding != "latin-1" and not encoding.startswith("utf-16") and b"\0" in raw:
        raise FileUnreadable(
            path,
            f"byte {raw.index(0)} is 0: not a text file",
            "Give the right format with --input-format",
        )
    text = raw[mark:].decode(encoding, "ignore" if encoding.startswith("utf-16") else "replace")
    text = text.translate(
        _OF_CODE_PAGE_1252 | _MINUS_SIGNS if encoding == "latin-1" else _MINUS_SIGNS
    )
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if complete and lines[-1] == "":
        lines.pop()
    return TextFile(
        path, encoding, mark, compressed, tuple(lines if complete else lines[:-1]), complete
    )


def _guess(raw: bytes) -> str:
    """Without a mark: UTF-16 where every second byte is 0, as it is in a table of digits; else
    UTF-8 or Latin-1.
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


def _is_gzip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == _GZIP
    except OSError as error:
        raise FileMissing(
            path, f"cannot be opened ({error.strerror})", "Check the path and its permissions"
        ) from error


def _chunks(path: Path, compressed: bool, skip: int, size: int = BLOCK) -> Iterator[bytes]:
    try:
        with path.open("rb") as raw:
            packed = os.fstat(raw.fileno()).st_size
            file = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if compressed else raw
            file.read(skip)
            taken = 0
            while chunk := file.read(size):
                taken += len(chunk)
                if compressed and taken > max(FREE_BYTES, MAX_RATIO * packed):
                    raise FileUnreadable(
                        path,
                        f"{packed} bytes of gzip unpack to more than {taken}: a decompression "
                        "bomb, or a signal without content",
                        "If it is a recording, unpack it with gunzip and ingest what comes out",
                    )
                yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileUnreadable(
            path, f"the gzip data are broken or cut off ({error})", "Copy the file again"
        ) from error
    except OSError as error:
        raise FileMissing(
            path,
            f"cannot be read ({error.strerror or error})",
            "Check the path and its permissions",
        ) from error


def _with_minus_signs(text: bytes, encoding: str) -> bytes:
    """What spreadsheets write for a minus becomes "-"; what separates thousands in code page 1252
    becomes UTF-8.
    """
    if encoding == "latin-1":
        for code, sign in _OF_CODE_PAGE_1252.items():
            text = text.replace(bytes((code,)), sign.encode())
    elif not text.isascii():
        for code, sign in _MINUS_SIGNS.items():
            text = text.replace(chr(code).encode(), sign.encode())
    return text


def _with_newlines(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text
