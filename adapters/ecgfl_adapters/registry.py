"""The registered file formats: the only place where adapters are loaded.

A package registers an adapter under the entry-point group `ecgfl.adapters`. Nothing that formats
share names a format; what a format offers is asked of its adapter.
"""

import logging
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.errors import FormatUnknown
from ecgfl_adapters.protocol import ANY_SUFFIX, Adapter, AdapterBase

GROUP = "ecgfl.adapters"
_LAST = ("wfdb", "edf", "csv")
"""Formats that are asked last, in this order: adapters that a site installed come first, plain text
comes last.
"""

_NO_EXTRAS = AdapterBase()

_log = logging.getLogger(__name__)


class Installed(NamedTuple):
    """The registered adapters.

    Parameters
    ----------
    adapters : dict of str to Adapter
        Adapters by name, in the order in which they are asked.
    broken : dict of str to str
        What is wrong with those that could not be loaded, by name.
    """

    adapters: dict[str, Adapter]
    broken: dict[str, str]


@cache
def installed() -> Installed:
    """Load every registered adapter. One that is broken does not harm the others."""
    working: dict[str, Adapter] = {}
    broken: dict[str, str] = {}
    points = sorted(
        entry_points(group=GROUP),
        key=lambda point: (_LAST.index(point.name) if point.name in _LAST else -1, point.name),
    )
    for point in points:
        try:
            adapter = point.load()()
        except Exception as error:  # noqa: BLE001 - importing another package's code may raise anything
            broken[point.name] = f"{point.value} cannot be loaded: {type(error).__name__}: {error}"
        else:
            if isinstance(adapter, Adapter):
                working[point.name] = adapter
            else:
                broken[point.name] = (
                    f"{point.value} is not an adapter: it lacks name, recognises, read or write"
                )
    for name, problem in broken.items():
        _log.warning("adapter %r is left out: %s", name, problem)
    return Installed(working, broken)


def adapters() -> dict[str, Adapter]:
    """Return the adapters that work, by name.

    Broken ones are named in a log warning; see `installed`.
    """
    return installed().adapters


def recognised_by(path: Path) -> Adapter | None:
    """Return the first adapter that recognises `path`, or None."""
    for name, adapter in adapters().items():
        try:
            if adapter.recognises(path):
                return adapter
        except Exception as error:  # noqa: BLE001 - another package's code may raise anything
            _log.warning("adapter %r failed on %s: %s: %s", name, path, type(error).__name__, error)
    return None


def extras_of(adapter: Adapter) -> AdapterBase:
    """Return what an adapter offers beyond `Adapter`.

    An adapter that does not derive from `AdapterBase` offers nothing.
    """
    return adapter if isinstance(adapter, AdapterBase) else _NO_EXTRAS


def all_extras() -> Iterator[AdapterBase]:
    """Yield what each adapter offers beyond `Adapter`, in the order in which adapters are asked."""
    return map(extras_of, adapters().values())


def recording_suffixes() -> frozenset[str]:
    """Return the suffixes of the files of recordings in all formats, in lower case."""
    return frozenset(suffix for extras in all_extras() for suffix in extras.suffixes)


def annotator_suffixes() -> tuple[str, ...]:
    """Return what may follow RECORD.ANNOTATOR in the name of a label file."""
    return tuple(
        dict.fromkeys(suffix for extras in all_extras() for suffix in extras.annotator_suffixes)
    )


def label_reader(path: Path) -> AdapterBase:
    """Return the adapter that reads a label file of this name.

    Raises
    ------
    FormatUnknown
        If there is none.
    """
    for suffix in (path.suffix.lower(), ANY_SUFFIX):
        for extras in all_extras():
            if suffix in extras.label_suffixes:
                return extras
    raise FormatUnknown(
        path, "no adapter reads its labels", "Install ecgfl again, with its own formats"
    )
