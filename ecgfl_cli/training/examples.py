"""The labelled beats that a network is trained on or measured with."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import BeatClass
from ecgfl_cli.beats.beats import Beats
from ecgfl_cli.beats.sample import LEARNED, learnable
from ecgfl_cli.models.architecture import PVC, Architecture
from ecgfl_cli.training.file_rows import FileRows


@dataclass(frozen=True)
class Examples:
    """Labelled beats, one a row.

    Attributes
    ----------
    rows : array of float32 or FileRows, shape (n, sum of widths)
        The architecture's inputs side by side, in memory or in a file.
    widths : tuple of int
        Number of columns of each input.
    kind : array of int64, shape (n,)
        Kind of each beat, as the architecture numbers them.
    weight : array of float32, shape (n,)
        How much each beat counts in training, 1 on average; see `weights_of`.
    patient : array of int64, shape (n,)
        Index of each beat's patient in the dataset, from 0 on.
    """

    rows: NDArray[np.float32] | FileRows
    widths: tuple[int, ...]
    kind: NDArray[np.int64]
    weight: NDArray[np.float32]
    patient: NDArray[np.int64]

    @property
    def is_pvc(self) -> NDArray[np.bool_]:
        """Which beats are PVCs, shape (n,)."""
        return np.asarray(self.kind == PVC)

    def __len__(self) -> int:
        """Return the number of examples."""
        return int(self.kind.size)

    def inputs(self, indices: NDArray[np.int64] | None = None) -> tuple[NDArray[np.float32], ...]:
        """Return the architecture's inputs.

        Parameters
        ----------
        indices : array of int64, shape (k,), or None
            Which examples; None for all.

        Returns
        -------
        tuple of array of float32
            One array of shape (k, width) for each input.
        """
        rows = self.rows[np.arange(len(self)) if indices is None else indices]
        return tuple(
            np.ascontiguousarray(part)
            for part in np.split(rows, np.cumsum(self.widths)[:-1], axis=1)
        )


def examples_of(
    leads: Iterable[Beats], architecture: Architecture, folder: Path | None = None
) -> Examples:
    """Return the learnable beats of leads of one patient; see `examples_of_patients`."""
    return examples_of_patients(((0, beats) for beats in leads), architecture, folder)


def examples_of_patients(
    leads: Iterable[tuple[int, Beats]], architecture: Architecture, folder: Path | None = None
) -> Examples:
    """Return the learnable beats of some leads, one lead after the other.

    Parameters
    ----------
    leads : iterable of tuple of int and Beats
        Index of the patient and the beats, for each lead.
    architecture : Architecture
        The network that the examples are for.
    folder : Path or None
        Folder for an unnamed file that holds the inputs; None keeps them in memory.
    """
    file = FileRows(folder) if folder is not None else None
    parts: list[NDArray[np.float32]] = []
    classes, weights = [np.empty(0, np.int8)], [np.empty(0, np.float32)]
    patients = [np.empty(0, np.int64)]
    widths = (0,) * len(architecture.inputs)
    for patient, beats in leads:
        usable = learnable(beats)
        inputs = [getattr(usable, field) for field in architecture.inputs]
        widths = tuple(values.shape[1] for values in inputs)
        (parts if file is None else file).append(np.concatenate(inputs, axis=1))
        classes.append(usable.classes)
        weights.append(weights_of(usable))
        patients.append(np.full(len(usable), patient, dtype=np.int64))
    if file is None:
        rows: NDArray[np.float32] | FileRows = (
            np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
        )
    else:
        rows = file
    weight = np.concatenate(weights)
    return Examples(
        rows=rows,
        widths=widths,
        kind=_kinds(np.concatenate(classes), architecture),
        weight=weight / weight.mean() if weight.size else weight,
        patient=np.concatenate(patients),
    )


def _kinds(classes: NDArray[np.int8], architecture: Architecture) -> NDArray[np.int64]:
    """Return the kind of each beat, as the architecture numbers them, shape (n,)."""
    kinds = LEARNED if architecture.kinds == len(LEARNED) else (None, BeatClass.V)
    numbers = np.zeros(classes.size, dtype=np.int64)
    for number, beat_class in enumerate(kinds):
        numbers[classes == beat_class] = number
    return numbers


def weights_of(beats: Beats) -> NDArray[np.float32]:
    """Return the weight of each beat of a lead, shape (n,): 1 / sqrt(m) for m beats of its class.

    Beats of one class and patient are similar: a hundred of them say more than one does, but not a
    hundred times as much. (F1 on patients held out of training: one lead 91.2 -> 92.2, both leads
    93.8 -> 94.6.)
    """
    _, index, count = np.unique(beats.classes, return_inverse=True, return_counts=True)
    return np.asarray(1 / np.sqrt(count[index]), dtype=np.float32)
