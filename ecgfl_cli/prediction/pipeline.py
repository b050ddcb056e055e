"""Recording -> beats -> windows -> model -> classes and ectopy."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.beats import Beats, detected_beats
from ecgfl_cli.beats.detection import LOWEST_FS
from ecgfl_cli.beats.leads import choose_lead
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.models.architecture import Architecture, architecture
from ecgfl_cli.models.inference import logits
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.prediction.ectopy import summarise
from ecgfl_cli.prediction.prediction import Prediction

if TYPE_CHECKING:
    from torch import nn

UNSAFE = re.compile(r"[/\\:\x00]")
"""What a file name must not hold on one system or another."""


class Classifier:
    """A verified model from a registry.

    version : None takes the current one. Raises `UnusableInput` when there is none yet, `ModelRejected` for a damaged one.
    """

    def __init__(self, registry: Registry, version: str | None) -> None:
        chosen = version or registry.current()
        if chosen is None:
            raise UnusableInput(
                "this home has no model yet", "Take part in the federation first: `ecgfl join --server HOST:PORT --once`"
            )
        self.manifest: Manifest
        self.manifest, self._network = registry.load(chosen)
        self._architecture = architecture(self.manifest.architecture)

    def predict(self, recording: Recording, lead_name: str | None = None) -> Prediction:
        """Find and classify the beats of one lead. A beat whose window holds a gap or the recording's end is Q."""
        if recording.fs < LOWEST_FS:
            raise UnusableInput(
                f"{recording.source.path}: {recording.fs:g} Hz, at least {LOWEST_FS} Hz are needed",
                "Export it at the recorder's own rate",
            )
        lead = choose_lead(recording, lead_name)
        beats = detected_beats(recording, lead, self._architecture.window)
        probabilities = pvc_probabilities(self._network, self._architecture, beats)
        symbols = tuple("Q" if np.isnan(p) else "V" if p >= self.manifest.threshold else "N" for p in probabilities)
        gaps = replace(recording, leads=(lead,)).gaps()
        analysed = float(np.sum(~np.isnan(lead.samples))) / recording.fs
        return Prediction(
            record=UNSAFE.sub("_", recording.name),
            fs=recording.fs,
            samples=beats.samples,
            symbols=symbols,
            probabilities=probabilities,
            leads=(lead.name,),
            model_version=self.manifest.version,
            model_sha256=self.manifest.weights_sha256,
            gaps=gaps,
            length=recording.length,
            ectopy=summarise(beats.samples, symbols, recording.fs, analysed, gaps),
        )


def pvc_probabilities(network: "nn.Module", wanted: Architecture, beats: Beats) -> NDArray[np.float32]:
    """Probability of V for each beat, shape (n,); NaN for one that is not readable."""
    probabilities = np.full(beats.samples.size, np.nan, dtype=np.float32)
    readable = np.flatnonzero(beats.readable)
    found = logits(network, [getattr(beats, field) for field in wanted.inputs], readable)
    probabilities[readable] = found.softmax(dim=1)[:, 1].numpy()
    return probabilities
