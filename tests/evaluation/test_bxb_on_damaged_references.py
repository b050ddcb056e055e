"""Compare real references with damaged copies; the expected counts are those of bxb.

The counts come from the C code of `app/bxb.c` (WFDB software package, revised 27 April 2020:
getref, gettest, rpann, tpann, amap, pair and the comparison in main), compiled apart from the WFDB
library and fed the same annotations as text. That code and ours also agreed on 16,000 random lists
with fibrillation, shutdowns, flutter waves and beats closer together than the window.
"""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgfl_cli.beats.aami import classify
from ecgfl_cli.evaluation.annotations import BeatAnnotations
from ecgfl_cli.evaluation.ec57 import compare

Annotation = tuple[int, str, int]


def damaged(reference: list[Annotation], fs: float, *, detector: bool) -> list[Annotation]:
    """Return a damaged copy of annotations.

    Every 17th is lost, all are moved by up to 180 ms, every 13th beat has another class, and every
    29th is repeated 110 ms later.

    detector : whether only beats are kept, as a detector writes them, or fibrillation and noise
    too, as a second reader does.
    """
    step = fs / 360
    copy = []
    for place, (sample, symbol, subtype) in enumerate(reference):
        is_beat = classify(symbol) is not None
        if place % 17 == 16 or (detector and not is_beat):
            continue
        moved = max(1, sample + round((place * 37 % 131 - 65) * step))
        called = ("N" if symbol == "V" else "V") if place % 13 == 12 and is_beat else symbol
        copy.append((moved, called, subtype))
        if place % 29 == 28 and is_beat:
            copy.append((moved + round(40 * step), "V" if place % 2 else "N", 0))
    return sorted(copy, key=lambda annotation: annotation[0])


def read(path: Path) -> tuple[list[Annotation], float, int]:
    found, header = wfdb.rdann(str(path), "atr"), wfdb.rdheader(str(path))
    return (
        list(zip(found.sample.tolist(), found.symbol, found.subtype.tolist(), strict=True)),
        header.fs,
        header.sig_len,
    )


def annotations(items: list[Annotation]) -> BeatAnnotations:
    samples, symbols, subtypes = zip(*items, strict=True)
    return BeatAnnotations(
        np.asarray(samples, dtype=np.int64), symbols, np.asarray(subtypes, dtype=np.int64)
    )


# Record, whether the copy is a detector's, and the rows N, S, V, F, Q, O and X that bxb counts.
COUNTS = {
    # A shutdown from 115,124 on, which the second reader saw too: one beat there is missing in it
    # (column x).
    (
        "mitdb/101",
        True,
    ): (
        "1098 0 96 0 0 324 0|0 2 0 0 0 1 0|0 0 0 0 0 0 0|0 0 0 0 0 0 0|"
        "0 0 0 0 2 0 0|244 0 40 0 0 0 0|0 0 0 0 0 0 0"
    ),
    (
        "mitdb/101",
        False,
    ): (
        "1098 0 96 0 0 323 1|0 2 0 0 0 1 0|0 0 0 0 0 0 0|0 0 0 0 0 0 0|"
        "0 0 0 0 2 0 0|244 0 40 0 0 0 0|0 0 0 0 0 0 0"
    ),
    (
        "mitdb/119",
        True,
    ): (
        "914 0 92 0 0 291 0|0 0 0 0 0 0 0|22 0 274 0 0 68 0|0 0 0 0 0 0 0|"
        "0 0 0 0 0 0 0|226 0 85 0 0 0 0|0 0 0 0 0 0 0"
    ),
    # Beats closer together than two match windows.
    (
        "mitdb/203",
        True,
    ): (
        "1519 0 135 0 0 449 0|0 0 0 0 0 0 0|25 0 267 0 0 81 0|0 0 1 0 0 0 0|"
        "0 0 0 0 3 1 0|352 0 109 0 1 0 0|0 0 0 0 0 0 0"
    ),
    # Fibrillation, flutter waves and escape beats.
    (
        "mitdb/207",
        True,
    ): (
        "997 0 86 0 0 293 0|1 78 5 0 0 23 0|2 0 85 0 0 22 0|0 0 0 0 0 0 0|"
        "0 0 0 0 0 0 0|219 14 61 0 0 0 0|0 0 0 0 0 0 0"
    ),
    (
        "mitdb/207",
        False,
    ): (
        "997 0 86 0 0 293 0|1 78 5 0 0 23 0|2 0 85 0 0 22 0|0 0 0 0 0 0 0|"
        "0 0 0 0 0 0 0|219 14 61 0 0 0 0|0 0 0 0 0 0 0"
    ),
    # Fusion beats.
    (
        "mitdb/208",
        True,
    ): (
        "963 0 86 0 0 259 0|0 2 0 0 0 0 0|59 0 586 0 0 179 0|0 0 12 214 0 75 0|"
        "0 0 0 0 2 0 0|220 0 185 50 0 0 0|0 0 0 0 0 0 0"
    ),
    (
        "mitdb/223",
        True,
    ): (
        "1193 0 106 0 0 357 0|0 63 3 0 0 14 0|27 0 327 0 0 101 0|0 0 1 6 0 1 0|"
        "0 0 0 0 0 0 0|286 8 121 1 0 0 0|0 0 0 0 0 0 0"
    ),
    # 128 Hz: the window is 19.2 samples, rounded to 19.
    (
        "svdb/800",
        True,
    ): (
        "1104 0 100 0 0 332 0|0 20 1 0 0 5 0|0 0 5 0 0 1 0|0 0 0 1 0 0 0|"
        "0 0 0 0 0 0 0|254 4 37 0 0 0 0|0 0 0 0 0 0 0"
    ),
}


@pytest.mark.parametrize(("record", "detector"), list(COUNTS))
def test_a_damaged_reference_gives_the_counts_of_bxb(
    real_data: Path, record: str, detector: bool
) -> None:
    reference, fs, length = read(real_data / record)
    found = compare(
        annotations(reference), annotations(damaged(reference, fs, detector=detector)), fs, length
    )
    assert (
        "|".join(" ".join(map(str, row)) for row in found.matrix.tolist())
        == COUNTS[record, detector]
    )
