"""`<record>.ecgfl.json`: summary and beats, for other programs."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.prediction.prediction import Prediction

SCHEMA = "ecgfl.prediction/1"


def as_dict(prediction: Prediction) -> dict[str, Any]:
    """Return the content of the file as plain values; unknown values are None."""
    return {
        "schema": SCHEMA,
        "record": prediction.record,
        "fs": prediction.fs,
        "length": prediction.length,
        "leads": list(prediction.leads),
        "model": {"version": prediction.model_version, "sha256": prediction.model_sha256},
        "ectopy": prediction.ectopy.as_dict(),
        "gaps": [{"start": gap.start, "stop": gap.stop} for gap in prediction.gaps],
        "beats": [
            {
                "sample": int(sample),
                "symbol": symbol,
                "probability": None if np.isnan(p) else round(float(p), 6),
            }
            for sample, symbol, p in zip(
                prediction.samples, prediction.symbols, prediction.probabilities, strict=True
            )
        ],
    }


def write(prediction: Prediction, folder: Path) -> Path:
    r"""UTF-8, one object; the same prediction always gives the same bytes.

    A byte of a file name that is not UTF-8 becomes the JSON escape of its surrogate, for instance
    "\udcfc" for the byte FC.
    """
    target = folder / f"{prediction.record}.ecgfl.json"
    text = json.dumps(as_dict(prediction), ensure_ascii=False, allow_nan=False)
    atomic_write_bytes(target, f"{text}\n".encode("utf-8", "backslashreplace"))
    return target
