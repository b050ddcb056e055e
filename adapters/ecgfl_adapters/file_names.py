"""Converts the names of recordings to file names that are valid on every system."""

import re
from hashlib import sha256

UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:<>"|?*]')
"""Characters that are not allowed in file names on some system:
https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions."""

_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE
)
"""Names of Windows devices, with or without a suffix."""

_LONGEST = 200
"""Largest length of a name in bytes. File systems allow 255; suffixes are added later."""

_MARK = 8
"""Number of digits of the original name's SHA-256 that are appended to a changed name."""


def is_device_name(name: str) -> bool:
    """Return whether Windows takes a name for that of a device, such as "con" or "nul.txt"."""
    return _RESERVED.match(name) is not None


def safe_name(name: str) -> str:
    """Return a file or folder name that is valid on every system for the name of a recording.

    Most names stay unchanged. A changed name ends in digits of the SHA-256 of the original, so
    different names stay different. Characters that are not allowed become "_", the name of a
    Windows device gets a "_" in front, and a name that is too long is cut.
    """
    safe = UNSAFE.sub("_", name).rstrip(". ")
    raw = safe.encode("utf-8", "surrogatepass")
    is_reserved = is_device_name(safe) or not safe
    if safe == name and len(raw) <= _LONGEST and not is_reserved:
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
    short = raw[: _LONGEST - _MARK - 2].decode("utf-8", "ignore").rstrip(". ")
    return f"{'_' if is_reserved else ''}{short}-{digest}"
