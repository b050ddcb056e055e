"""Names of files that are made from names of others."""

import re
from hashlib import sha256

UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:<>"|?*]')
"""What a file name must not hold on one system or another:
https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions."""

_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)
"""Devices of Windows, also with a suffix."""

_LONGEST = 200
"""Bytes; file systems take 255, and suffixes follow."""

_MARK = 8
"""Digits of the SHA-256 of a name that was changed."""


def safe_name(name: str) -> str:
    """Return the name of a file or folder that every system takes, for the name of a recording or folder.

    Most names stay as they are. A changed one ends in digits of the SHA-256 of what it was, so that no two names become one.
    Characters that are not allowed become "_", a device of Windows gets a "_" in front, and what is too long is cut.
    """
    safe = UNSAFE.sub("_", name).rstrip(". ")
    raw = safe.encode("utf-8", "surrogatepass")
    is_reserved = _RESERVED.match(safe) is not None or not safe
    if safe == name and len(raw) <= _LONGEST and not is_reserved:
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
    short = raw[: _LONGEST - _MARK - 2].decode("utf-8", "ignore").rstrip(". ")
    return f"{'_' if is_reserved else ''}{short}-{digest}"
