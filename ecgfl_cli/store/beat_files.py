"""beats/<window>/<record>.safetensors: beats cut from the store's records. Derived: what is missing is cut again."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from ecgfl_cli.beats.beats import Beats
from ecgfl_cli.beats.window import Window
from ecgfl_cli.files import atomic_write_bytes

SUFFIX = ".safetensors"
ARRAYS = ("samples", "windows", "typical", "block", "noise", "context", "classes")


def beats_path(folder: Path, window: Window, record: str) -> Path:
    return folder / window.key / f"{record}{SUFFIX}"


def save_beats(path: Path, leads: list[Beats]) -> None:
    """Keep the beats of a record's leads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[np.generic]] = {}
    for place, beats in enumerate(leads):
        arrays |= {f"{place}.{name}": np.ascontiguousarray(getattr(beats, name)) for name in ARRAYS}
        arrays[f"{place}.symbols"] = np.array([ord(symbol) if symbol else 0 for symbol in beats.symbols], dtype=np.uint8)
    atomic_write_bytes(path, save(arrays))


def are_whole(path: Path) -> bool:
    """Whether the file is there with all its arrays. Reads its header only."""
    try:
        with safe_open(path, "numpy") as arrays:
            return len(arrays.keys()) > 0
    except (OSError, SafetensorError):
        return False


def load_beats(path: Path) -> list[Beats] | None:
    """The beats of a file, lead by lead; None when it is missing or damaged, which means: cut them again."""
    try:
        arrays = load_file(path)
        leads = range(len(arrays) // (len(ARRAYS) + 1))
        return [
            Beats(
                **{name: arrays[f"{place}.{name}"] for name in ARRAYS},
                symbols=tuple(chr(code) if code else "" for code in arrays[f"{place}.symbols"]),
            )
            for place in leads
        ] or None
    except (OSError, SafetensorError, KeyError):
        return None


def remove_beats(folder: Path, record: str) -> None:
    for path in folder.glob(f"*/{record}{SUFFIX}"):
        path.unlink()
