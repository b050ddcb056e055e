from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgfl_cli.beats.aami import SYMBOLS, BeatClass, NoClass, classify, classify_all


def test_mitdb_class_counts_equal_the_published_ones(
    real_data: Path,
) -> None:
    totals: Counter[int] = Counter()
    for header in sorted((real_data / "mitdb").glob("*.hea")):
        totals.update(classify_all(wfdb.rdann(str(header.with_suffix("")), "atr").symbol).tolist())
    del totals[NoClass.NOT_A_BEAT]
    assert totals == {
        BeatClass.N: 90_631,
        BeatClass.S: 2_781,
        BeatClass.V: 7_236,
        BeatClass.F: 803,
        BeatClass.Q: 8_043,
    }


@pytest.mark.parametrize("symbol", ["[", "]", "!", "x", "~", "+", "|", '"', "", "NN", "v"])
def test_an_annotation_that_is_no_beat_has_no_class(symbol: str) -> None:
    assert classify(symbol) is None


def test_every_symbol_belongs_to_one_class() -> None:
    assert max(Counter("".join(SYMBOLS.values())).values()) == 1


def test_classify_all_equals_classify_of_each() -> None:
    symbols = ["N", "r", "[", "/", "F", "a", "V"]
    expected = [
        NoClass.NOT_A_BEAT if classify(symbol) is None else classify(symbol) for symbol in symbols
    ]
    assert classify_all(symbols).tolist() == expected
    assert classify_all(np.asarray(symbols)).dtype == np.int8
    assert classify_all([]).shape == (0,)
