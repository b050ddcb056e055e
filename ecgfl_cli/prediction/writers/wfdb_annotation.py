"""`<record>.ecgfl`: a WFDB annotation file, for PhysioNet's tools (bxb, WAVE, LightWAVE)."""

import tempfile
from pathlib import Path

from ecgfl_adapters.wfdb.writer import write_annotations

from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.prediction.prediction import Prediction

ANNOTATOR = "ecgfl"


def write(prediction: Prediction, folder: Path) -> Path:
    """One annotation a beat, N, V or Q at its R peak, in samples of the input's own rate."""
    target = folder / f"{prediction.record}.{ANNOTATOR}"
    # The library allows only plain letters in a record's name and writes in place: it gets a name
    # and a folder of its own.
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / f"record.{ANNOTATOR}"
        write_annotations(prediction.labels(), made, prediction.fs)
        atomic_write_bytes(target, made.read_bytes())
    return target
