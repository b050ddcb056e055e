"""beats/<window>/<record>.safetensors: beats cut from the store's records. Derived: what is missing is cut again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ecgfl_cli.beats.beats import Beats
from ecgfl_cli.beats.window import Window
from ecgfl_cli.files import atomic_write_bytes

SUFFIX = ".safetensors"
WHOLE, LEARNED, SYMBOLS = "whole", "learned", "symbols"
ARRAYS = ("samples", "windows", "typical", "block", "noise", "context", "classes")


def beats_path(folder: Path, window: Window, record: str) -> Path:
    return folder / window.key / f"{record}{SUFFIX}"


def save_beats(path: Path, whole: Beats, learned: Sequence[Beats]) -> None:
    """Keep a record's beats. whole : those of the lead that it is read in. learned : what is learned from its leads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[np.generic]] = {}
    for prefix, beats in (
        (WHOLE, whole),
        *((f"{LEARNED}{place}", beats) for place, beats in enumerate(learned)),
    ):
        arrays |= {
            f"{prefix}.{name}": np.ascontiguousarray(getattr(beats, name)) for name in ARRAYS
        }
        arrays[f"{prefix}.{SYMBOLS}"] = np.array(
            [ord(symbol) if symbol else 0 for symbol in beats.symbols], dtype=np.uint8
        )
    atomic_write_bytes(path, save(arrays))


def are_whole(path: Path) -> bool:
    """Whether the file is there with all its arrays. Reads its header only."""
    try:
        with safe_open(path, "numpy") as arrays:
            return f"{WHOLE}.{SYMBOLS}" in arrays.keys()  # noqa: SIM118
    except (OSError, SafetensorError):
        return False


def load_beats(path: Path) -> Beats | None:
    """All beats of the lead that the record is read in; None when the file is missing or damaged: cut them again then."""
    found = _load(path, WHOLE)
    return found[0] if found else None


def load_learned(path: Path) -> list[Beats] | None:
    """What is learned from the record's leads, nothing else of the file is read; None when it is missing or damaged."""
    return _load(path, LEARNED)


def _load(path: Path, wanted: str) -> list[Beats] | None:
    try:
        with safe_open(path, "numpy") as arrays:
            prefixes = sorted(
                {name.split(".")[0] for name in arrays.keys() if name.startswith(wanted)},  # noqa: SIM118
                key=_place,
            )
            return [
                Beats(
                    **{name: arrays.get_tensor(f"{prefix}.{name}") for name in ARRAYS},
                    symbols=tuple(
                        chr(code) if code else ""
                        for code in arrays.get_tensor(f"{prefix}.{SYMBOLS}")
                    ),
                )
                for prefix in prefixes
            ] or None
    except (OSError, SafetensorError, KeyError):
        return None


def _place(prefix: str) -> int:
    return int(prefix.removeprefix(LEARNED) or 0) if prefix.startswith(LEARNED) else 0


def remove_beats(folder: Path, record: str) -> None:
    for path in folder.glob(f"*/{record}{SUFFIX}"):
        path.unlink()
