"""`<record>.ecgfl`: a WFDB annotation file, for PhysioNet's tools (`bxb -r <record> -a atr ecgfl`, WAVE, LightWAVE)."""

import tempfile
from pathlib import Path

import wfdb

from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.prediction.prediction import Prediction

ANNOTATOR = "ecgfl"

# The end mark of the MIT format, on its own a list of no annotations. The library refuses to write one.
_EMPTY = b"\0\0"


def write(prediction: Prediction, folder: Path) -> Path:
    """One annotation a beat, N, V or Q at its R peak, in samples of the input's own rate."""
    target = folder / f"{prediction.record}.{ANNOTATOR}"
    atomic_write_bytes(target, _encode(prediction) if prediction.symbols else _EMPTY)
    return target


def _encode(prediction: Prediction) -> bytes:
    # The library allows only plain letters in a record's name and writes in place: it gets a name and a folder of its own.
    with tempfile.TemporaryDirectory() as scratch:
        wfdb.wrann("record", ANNOTATOR, prediction.samples, list(prediction.symbols), fs=prediction.fs, write_dir=scratch)
        return (Path(scratch) / f"record.{ANNOTATOR}").read_bytes()
