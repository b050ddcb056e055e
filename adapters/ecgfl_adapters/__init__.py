"""Read and write ECG recordings in any registered file format.

`read` turns a file into a `Recording`: leads in millivolts on one time axis, with beat labels where
there are any. `find_recordings` lists the recordings in folders. A new format is a class with the
methods of `Adapter`, registered under the entry-point group `ecgfl.adapters`; deriving it from
`AdapterBase` lets it offer more.

Every error is an `AdapterError`, which names the file, the problem and a fix. The module `errors`
draws the tree.

The names below are the public interface. They are loaded when they are first used, so that
importing the package loads neither numpy nor any format library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgfl_adapters.discovery import read
    from ecgfl_adapters.errors import (
        AdapterError,
        FileMissing,
        FileUnreadable,
        FormatUnknown,
        LabelsUnreadable,
        LeadMissing,
        RateUnknown,
        UnitUnknown,
    )
    from ecgfl_adapters.label_files import read_labels
    from ecgfl_adapters.labels import labels_for
    from ecgfl_adapters.leads import Channel, choose_leads
    from ecgfl_adapters.protocol import Adapter, AdapterBase, LabelRequest, ReadOptions
    from ecgfl_adapters.recording import BeatLabel, Gap, Lead, Recording, Remark, Source
    from ecgfl_adapters.registry import adapters
    from ecgfl_adapters.search import find_recordings

__all__ = [
    "Adapter",
    "AdapterBase",
    "AdapterError",
    "BeatLabel",
    "Channel",
    "FileMissing",
    "FileUnreadable",
    "FormatUnknown",
    "Gap",
    "LabelRequest",
    "LabelsUnreadable",
    "Lead",
    "LeadMissing",
    "RateUnknown",
    "ReadOptions",
    "Recording",
    "Remark",
    "Source",
    "UnitUnknown",
    "adapters",
    "choose_leads",
    "find_recordings",
    "labels_for",
    "read",
    "read_labels",
]

_MODULES = {
    "discovery": ("read",),
    "errors": (
        "AdapterError",
        "FileMissing",
        "FileUnreadable",
        "FormatUnknown",
        "LabelsUnreadable",
        "LeadMissing",
        "RateUnknown",
        "UnitUnknown",
    ),
    "label_files": ("read_labels",),
    "labels": ("labels_for",),
    "leads": ("Channel", "choose_leads"),
    "protocol": ("Adapter", "AdapterBase", "LabelRequest", "ReadOptions"),
    "recording": ("BeatLabel", "Gap", "Lead", "Recording", "Remark", "Source"),
    "registry": ("adapters",),
    "search": ("find_recordings",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # a type checker would take any name for an export

    def __getattr__(name: str) -> Any:
        """Load a public name from its module on first use."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
