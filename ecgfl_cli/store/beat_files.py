"""beats/<window>/<record>.safetensors: beats cut from the records of the store.

The files are derived: a missing one is made again.
"""

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
    """Return the path of a record's beats for a window."""
    return folder / window.key / f"{record}{SUFFIX}"


def save_beats(path: Path, whole: Beats, learned: Sequence[Beats]) -> None:
    """Write the beats of a record.

    Parameters
    ----------
    path : Path
        The file; its folder is created.
    whole : Beats
        All beats of the lead that the record is read in.
    learned : sequence of Beats
        The beats to train on, of each lead.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[np.generic]] = {}
    for prefix, beats in (
        (WHOLE, whole),
        *((f"{LEARNED}{index}", beats) for index, beats in enumerate(learned)),
    ):
        arrays |= {
            f"{prefix}.{name}": np.ascontiguousarray(getattr(beats, name)) for name in ARRAYS
        }
        arrays[f"{prefix}.{SYMBOLS}"] = np.array(
            [ord(symbol) if symbol else 0 for symbol in beats.symbols], dtype=np.uint8
        )
    atomic_write_bytes(path, save(arrays))


def are_whole(path: Path) -> bool:
    """Whether a file of beats exists and is complete. Only its header is read."""
    try:
        with safe_open(path, "numpy") as arrays:
            return f"{WHOLE}.{SYMBOLS}" in arrays.keys()  # noqa: SIM118
    except (OSError, SafetensorError):
        return False


def load_beats(path: Path) -> Beats | None:
    """Return all beats of the lead that the record is read in.

    Returns
    -------
    Beats or None
        None if the file is missing or damaged; then the beats must be cut again.
    """
    beats = _load(path, WHOLE)
    return beats[0] if beats else None


def load_learned(path: Path) -> list[Beats] | None:
    """Return the beats to train on, of each lead; None if the file is missing or damaged."""
    return _load(path, LEARNED)


def _load(path: Path, kind: str) -> list[Beats] | None:
    """Read only the arrays of one kind: `WHOLE` or `LEARNED`."""
    try:
        with safe_open(path, "numpy") as arrays:
            prefixes = sorted(
                {name.split(".")[0] for name in arrays.keys() if name.startswith(kind)},  # noqa: SIM118
                key=_index,
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


def _index(prefix: str) -> int:
    return int(prefix.removeprefix(LEARNED) or 0) if prefix.startswith(LEARNED) else 0


def remove_beats(folder: Path, record: str) -> None:
    """Remove the beats of a record, for every window."""
    for path in folder.glob(f"*/{record}{SUFFIX}"):
        path.unlink()
