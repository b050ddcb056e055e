"""Classify the beats of a recording: recording, beats, windows, model, classes, ectopy."""

from dataclasses import replace

import numpy as np
from ecgfl_adapters.label_origin import file_name
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.beats import Beats, detected_beats
from ecgfl_cli.beats.detection import LOWEST_FS
from ecgfl_cli.beats.leads import usable_leads
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.inference import beat_logits
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.prediction.ectopy import summarise
from ecgfl_cli.prediction.prediction import Prediction


class Classifier:
    """A verified model from a registry.

    Parameters
    ----------
    registry
        Where the model is.
    version
        Its version; None for the current one.

    Raises
    ------
    UsageError
        There is no such version.
    UnusableInput
        There is no current version.
    ModelRejected
        The model is damaged.
    """

    def __init__(self, registry: Registry, version: str | None) -> None:
        chosen = version or registry.current()
        if chosen is None:
            raise UnusableInput(
                "there is no model, not even the one that comes with the program",
                "Install ecgfl again, or take part in the federation: `ecgfl join --server "
                "HOST:PORT --once`",
            )
        self.manifest: Manifest
        self.manifest, self._network = registry.load(chosen)
        self._architecture = architecture(self.manifest.architecture)

    def predict(self, recording: Recording, lead_name: str | None = None) -> Prediction:
        """Detect the beats in one lead, and classify them in all leads that hold a signal.

        A beat whose window holds a gap, the recording's end or mainly noise, in every lead, is Q.
        """
        if recording.fs < LOWEST_FS:
            raise UnusableInput(
                f"{recording.source.path}: {recording.fs:g} Hz, at least {LOWEST_FS} Hz are needed",
                "Export it at the recorder's own rate",
            )
        leads = usable_leads(recording, lead_name)
        beats = detected_beats(recording, leads, self._architecture.window)
        probabilities = self.manifest.calibration.probabilities(
            fused([self._logits(each) for each in beats])
        )
        symbols = tuple(
            "Q" if np.isnan(p) else "V" if p >= self.manifest.threshold else "N"
            for p in probabilities.tolist()
        )
        gaps = replace(recording, leads=(leads[0],)).gaps()
        analysed = (recording.length - sum(gap.stop - gap.start for gap in gaps)) / recording.fs
        return Prediction(
            record=file_name(recording.name),
            fs=recording.fs,
            samples=beats[0].samples,
            symbols=symbols,
            probabilities=probabilities,
            leads=tuple(lead.name for lead in leads),
            model_version=self.manifest.version,
            model_sha256=self.manifest.weights_sha256,
            gaps=gaps,
            length=recording.length,
            ectopy=summarise(beats[0].samples, symbols, recording.fs, analysed, gaps),
        )

    def _logits(self, beats: Beats) -> NDArray[np.float32]:
        return beat_logits(self._network, self._architecture, beats)


def fused(leads: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean logit of each beat over the leads in which it is readable, shape (n,).

    NaN for a beat that is readable in none.
    """
    stacked = np.stack(leads)
    readable = ~np.isnan(stacked)
    number = readable.sum(axis=0)
    mean = np.where(readable, stacked, 0).sum(axis=0) / np.maximum(number, 1)
    return np.where(number > 0, mean, np.nan).astype(np.float32)
