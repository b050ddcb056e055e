"""Read and write ECG recordings in any registered file format.

`read` converts a file to a `Recording`: leads in millivolts on one time axis, and beat labels if
there are any. `find_recordings` lists the recordings in folders. A new format is a class with the
methods of `Adapter`, registered under the entry-point group `ecgfl.adapters`. Derive it from
`AdapterBase` to support recordings of several files and label files of its own.

Every error is an `AdapterError`, which states the file, the problem and a fix. The module `errors`
shows the tree of errors. An adapter raises `FileUnreadable`, or the class of `errors` that fits
better.

The public interface is `__all__`: what a program needs to read recordings, and what a package needs
to add a format. Each name is loaded on first use, so importing the package loads neither numpy nor
a format library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgfl_adapters.discovery import read
    from ecgfl_adapters.errors import AdapterError, FileUnreadable, LabelsUnreadable
    from ecgfl_adapters.labels import labels_for
    from ecgfl_adapters.leads import Channel, choose_leads
    from ecgfl_adapters.protocol import Adapter, AdapterBase, LabelRequest, ReadOptions
    from ecgfl_adapters.recording import BeatLabel, Lead, Recording, Source
    from ecgfl_adapters.search import find_recordings

__all__ = [
    "Adapter",
    "AdapterBase",
    "AdapterError",
    "BeatLabel",
    "Channel",
    "FileUnreadable",
    "LabelRequest",
    "LabelsUnreadable",
    "Lead",
    "ReadOptions",
    "Recording",
    "Source",
    "choose_leads",
    "find_recordings",
    "labels_for",
    "read",
]

_MODULES = {
    "discovery": ("read",),
    "errors": ("AdapterError", "FileUnreadable", "LabelsUnreadable"),
    "labels": ("labels_for",),
    "leads": ("Channel", "choose_leads"),
    "protocol": ("Adapter", "AdapterBase", "LabelRequest", "ReadOptions"),
    "recording": ("BeatLabel", "Lead", "Recording", "Source"),
    "search": ("find_recordings",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> Any:
        """Load a public name from its module on first use."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the names of the module, including those that are not loaded yet."""
    return sorted({*globals(), *__all__})
