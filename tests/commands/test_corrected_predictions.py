"""What `predict` found and a cardiologist corrected comes back as labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

Ecgfl = Callable[..., Any]


@pytest.mark.parametrize("file_format", ["wfdb", "edf", "csv"])
def test_a_corrected_prediction_is_learned_from(site: Path, ecgfl: Ecgfl, export: Any, file_format: str) -> None:  # noqa: ARG001
    path: Path = export(71, file_format)
    for beside in (*path.parent.glob("*.atr"), *path.parent.glob("*.labels.csv")):
        beside.unlink()
    assert ecgfl("predict", path, "--out", path.parent, "--format", "wfdb").code == 0
    found = wfdb.rdann(str(path.with_suffix("")), "ecgfl")
    symbols = list(found.symbol)
    corrected = [place for place, symbol in enumerate(symbols) if symbol == "N"][5:25]
    assert len(corrected) == 20
    for place in corrected:
        symbols[place] = "V"
    wfdb.wrann(path.stem, "ecgfl", np.asarray(found.sample), symbol=symbols, fs=found.fs, write_dir=str(path.parent))

    assert ecgfl("ingest", path, "--labels", "ecgfl").code == 0
    (record,) = ecgfl("dataset", "list", "--json").json["recordings"]
    assert record["status"] == "usable"
    assert record["counts"] == {name: count for name in ("N", "V", "Q") if (count := symbols.count(name))}
