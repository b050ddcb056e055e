"""The public ECG databases that the benchmarks use."""

import os
from pathlib import Path

DATA = Path(
    os.environ.get("ECGFL_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
"""Folder with a folder for each database, for instance mitdb."""

DS1 = (
    *(101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122),
    *(124, 201, 203, 205, 207, 208, 209, 215, 220, 223, 230),
)
"""Training records of mitdb (de Chazal et al., IEEE Trans. Biomed. Eng. 51:1196, 2004)."""
