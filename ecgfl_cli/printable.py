"""Escape names and messages of others before they are shown in a terminal, a log or an HTML page."""

import logging
import warnings


def printable(text: str) -> str:
    r"""Return the text as one line without terminal escape sequences.

    Each character that `str.isprintable` rejects becomes its Python escape: control characters and line breaks ("\x1b", "\n"),
    directional overrides and zero-width characters ("\u202e"), and the bytes of a file name that are not UTF-8 ("\udcfc" for
    the byte FC).
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


LONGEST_REASON = 200
"""Largest number of characters of a reason that quotes what others wrote."""


def short_reason(reason: object) -> str:
    """Return a reason as one printable line of at most `LONGEST_REASON` characters; it may quote what others wrote."""
    text = str(reason)
    line = printable(text[: LONGEST_REASON + 1])
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 3]}..."


def escape_log() -> None:
    """Escape the warnings of libraries and adapters, which `logging` and `warnings` print on stderr."""
    warnings.formatwarning = _printable_warning
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_PrintableFormatter())


def _printable_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,  # noqa: ARG001
) -> str:
    return f"{printable(f'{filename}:{lineno}: {category.__name__}: {message}')}\n"


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
