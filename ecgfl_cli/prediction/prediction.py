"""The prediction of a model for one recording. Every output format is written from it."""

from dataclasses import dataclass

import numpy as np
from ecgfl_adapters.file_names import safe_name
from ecgfl_adapters.recording import BeatLabel, Gap
from numpy.typing import NDArray

from ecgfl_cli.prediction.ectopy import Ectopy


@dataclass(frozen=True)
class Prediction:
    """The classified beats of one recording.

    Raises `ValueError` when the lengths differ or the record's name is no file name.

    Attributes
    ----------
    record
        Name of the recording, without a folder.
    fs
        Sampling rate of the input in hertz.
    length
        Number of samples in the recording.
    samples
        Shape (n,), int64, R peaks at the input's rate, increasing.
    symbols
        N, V or Q (could not be classified) for each R peak.
    probabilities
        Shape (n,), float32, probability of V; NaN for a beat that could not be classified.
    leads
        Names of the leads that were used.
    gaps
        Stretches without signal.
    """

    record: str
    fs: float
    samples: NDArray[np.int64]
    symbols: tuple[str, ...]
    probabilities: NDArray[np.float32]
    leads: tuple[str, ...]
    model_version: str
    model_sha256: str
    gaps: tuple[Gap, ...]
    length: int
    ectopy: Ectopy

    def __post_init__(self) -> None:
        """Check the lengths and the record's name."""
        beats = len(self.symbols)
        if self.samples.shape != (beats,) or self.probabilities.shape != (beats,):
            raise ValueError(
                f"{beats} symbols need as many samples and probabilities, got {self.samples.shape} "
                f"and {self.probabilities.shape}"
            )
        # The name becomes part of a path: it must not lead out of the output folder on any system.
        if safe_name(self.record) != self.record:
            raise ValueError(f"{self.record!r} cannot be used as the name of a file")

    def labels(self) -> list[BeatLabel]:
        """Return the beats as annotations."""
        return [
            BeatLabel(int(sample), symbol)
            for sample, symbol in zip(self.samples, self.symbols, strict=True)
        ]
