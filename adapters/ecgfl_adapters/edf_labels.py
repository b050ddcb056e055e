"""Beat labels that stand in the annotations of an EDF+ or BDF+ file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ecgfl_adapters.edf_annotations import Annotations, read_annotations
from ecgfl_adapters.edf_header import read_header
from ecgfl_adapters.edf_samples import data_records
from ecgfl_adapters.recording import BeatLabel
from ecgfl_adapters.symbols import BEAT_SYMBOLS, in_order, symbol_of


def beat_labels(
    notes: Annotations,
    fs: float,
    vocabulary: Mapping[str, str],
    drift: Callable[[float], float] = lambda onset: 0.0,  # noqa: ARG005
) -> tuple[BeatLabel, ...] | None:
    """The annotations whose text is a WFDB symbol or a known word for a beat; None when there is no beat among them.

    fs : hertz of the samples that they count in, from the begin of the first data record. drift : see `edf_timeline.drift_of`.
    """
    origin = 0.0 if notes.starts is None else float(notes.starts[0])
    labels = [
        BeatLabel(round((note.onset - origin) * fs + drift(note.onset)), symbol)
        for note in notes.annotations
        if (symbol := symbol_of(note.text, vocabulary)) is not None and note.onset >= origin
    ]
    return in_order(labels) if any(label.symbol in BEAT_SYMBOLS for label in labels) else None


def read_edf_labels(path: Path, fs: float, vocabulary: Mapping[str, str]) -> tuple[BeatLabel, ...]:
    """The beat labels of an EDF+ file that lies beside a recording; it may hold a signal, too. Raises `AdapterError`."""
    records = data_records(path, read_header(path), force=False)
    return beat_labels(read_annotations(records), fs, vocabulary) or ()
