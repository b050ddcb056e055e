"""WFDB symbols -> AAMI classes."""

import pytest

from ecgfl_cli.beats.aami import SYMBOLS, BeatClass, NoClass, classify, classify_all


@pytest.mark.parametrize(
    ("symbols", "name"), [("NLRBejn", "N"), ("AaJS", "S"), ("VEr", "V"), ("F", "F"), ("/fQ?", "Q")]
)
def test_every_beat_symbol_has_the_class_of_ec57(symbols: str, name: str) -> None:
    assert {classify(symbol) for symbol in symbols} == {BeatClass[name]}


@pytest.mark.parametrize("symbol", ["+", "~", "|", "[", "!", "]", "x", "s", '"', ""])
def test_what_is_no_beat_has_none(symbol: str) -> None:
    assert classify(symbol) is None


def test_many_symbols_at_once_are_classified_like_each_alone() -> None:
    text = [*"".join(SYMBOLS.values()), "+", "x"]
    expected = [
        NoClass.NOT_A_BEAT if classify(symbol) is None else classify(symbol) for symbol in text
    ]
    assert classify_all(text).tolist() == expected
