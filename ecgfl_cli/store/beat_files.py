"""beats/<window>/<record>.safetensors: beats cut from the store's records. Derived: what is missing is cut again."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from ecgfl_cli.beats.beats import Beats
from ecgfl_cli.beats.window import Window
from ecgfl_cli.files import atomic_write_bytes

SUFFIX = ".safetensors"


def beats_path(folder: Path, window: Window, record: str) -> Path:
    return folder / window.key / f"{record}{SUFFIX}"


def save_beats(path: Path, beats: Beats) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "samples": beats.samples,
        "windows": beats.windows,
        "typical": beats.typical,
        "rr": beats.rr,
        "classes": beats.classes,
        "symbols": np.array([ord(symbol) if symbol else 0 for symbol in beats.symbols], dtype=np.uint8),
    }
    atomic_write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def load_beats(path: Path) -> Beats | None:
    """The beats of a file; None when it is missing or damaged, which means: cut them again."""
    try:
        arrays = load_file(path)
        symbols = tuple(chr(code) if code else "" for code in arrays["symbols"])
        return Beats(arrays["samples"], arrays["windows"], arrays["typical"], arrays["rr"], arrays["classes"], symbols)
    except (OSError, SafetensorError, KeyError):
        return None


def remove_beats(folder: Path, record: str) -> None:
    for path in folder.glob(f"*/{record}{SUFFIX}"):
        path.unlink()
