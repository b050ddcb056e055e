"""Escape names and messages of others before a terminal, a log or an HTML page shows them."""


def printable(text: str) -> str:
    r"""Return the text as one line without terminal escape sequences.

    Each character that `str.isprintable` rejects becomes its Python escape: control characters and
    line breaks ("\x1b", "\n"), directional overrides and zero-width characters ("\u202e"), and the
    bytes of a file name that are not UTF-8 ("\udcfc" for the byte FC).
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


LONGEST_REASON = 200
"""Largest number of characters of a reason that quotes what others wrote."""


def short_reason(reason: object) -> str:
    """Return a reason, which may quote others, as a printable line of limited length."""
    text = str(reason)
    line = printable(text[: LONGEST_REASON + 1])
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 3]}..."
