from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import wfdb
from ecgfl_adapters.recording import Gap

from ecgfl_cli.beats.aami import BeatClass, classify_all
from ecgfl_cli.prediction.ectopy import Ectopy, summarise

FS = 250.0


def ectopy(letters: str, *, gaps: Sequence[Gap] = (), analysed_s: float = 3600.0) -> Ectopy:
    """One beat a second, the first at sample 250."""
    return summarise(250 * np.arange(1, len(letters) + 1), list(letters), FS, analysed_s, gaps)


def test_burden_is_the_share_of_pvcs_in_the_classified_beats() -> None:
    found = ectopy("NNVNQNNNNVQN")
    assert (found.beats, found.pvcs, found.unclassified) == (12, 2, 2)
    assert found.burden_percent == pytest.approx(20.0)


def test_pvcs_per_hour_refer_to_the_analysed_time() -> None:
    assert ectopy("NVNV", analysed_s=1800.0).pvcs_per_hour == pytest.approx(4.0)


def test_a_couplet_is_exactly_two_and_a_run_three_or_more() -> None:
    found = ectopy("VNVVNVVVNVVVVVNVV")
    assert (found.couplets, found.runs, found.longest_run_beats) == (2, 2, 5)


def test_an_unclassified_beat_breaks_a_run() -> None:
    found = ectopy("NVVQVVN")
    assert (found.couplets, found.runs) == (2, 0)


def test_a_gap_breaks_a_run_and_is_no_rr_interval() -> None:
    whole, broken = ectopy("NVVVVN"), ectopy("NVVVVN", gaps=[Gap(800, 900)])
    assert (whole.couplets, whole.runs) == (0, 1)
    assert (broken.couplets, broken.runs) == (2, 0)
    apart = summarise(np.asarray([250, 500, 5000, 5250]), list("NNNN"), FS, 4.0, [Gap(600, 4900)])
    assert apart.mean_heart_rate == pytest.approx(60.0)


def test_a_gap_outside_the_beats_changes_nothing() -> None:
    assert ectopy("NVVVN", gaps=[Gap(0, 200), Gap(1300, 9000)]) == ectopy("NVVVN")


def test_the_rate_of_a_run_is_that_of_its_own_intervals() -> None:
    samples = np.cumsum([250, 250, 100, 100, 250, 250, 125, 125, 125, 250])
    found = summarise(samples, list("NVVVNVVVVN"), FS, 60.0)
    assert found.longest_run_beats == 4
    assert found.longest_run_per_minute == pytest.approx(60 * 250 / 125)
    assert found.fastest_run_per_minute == pytest.approx(60 * 250 / 100)


@pytest.mark.parametrize(
    ("letters", "bigeminy", "trigeminy"),
    [
        ("NVNVNV", 1, 0),
        ("NVNV", 0, 0),
        ("NVNVNVNVNVNV", 1, 0),
        ("NVNVNVNNNVNVNVN", 2, 0),
        ("NVNVNVV", 0, 0),
        ("NVNVNVNVV", 1, 0),
        ("NVNVQNVNV", 0, 0),
        ("NNVNNVNNV", 0, 1),
        ("NNVNNV", 0, 0),
        ("NNNVNNVNNVNNNN", 0, 1),
        ("NNVNNVNNVNVNVNV", 1, 1),
    ],
)
def test_bigeminy_and_trigeminy_take_three_cycles(
    letters: str, bigeminy: int, trigeminy: int
) -> None:
    found = ectopy(letters)
    assert (found.bigeminy_episodes, found.trigeminy_episodes) == (bigeminy, trigeminy)


def test_what_nothing_defines_is_none() -> None:
    empty = summarise(np.zeros(0, dtype=np.int64), [], FS, 0.0, [Gap(0, 100)])
    assert (empty.beats, empty.longest_run_beats) == (0, 0)
    assert empty.burden_percent is empty.pvcs_per_hour is empty.mean_heart_rate is None
    assert empty.longest_run_per_minute is empty.fastest_run_per_minute is None
    assert ectopy("QQ").burden_percent is None


def test_classes_may_be_given_as_numbers() -> None:
    classes = np.asarray([BeatClass.N, BeatClass.V, BeatClass.V, BeatClass.Q], dtype=np.int8)
    assert summarise(250 * np.arange(1, 5), classes, FS, 4.0) == summarise(
        250 * np.arange(1, 5), list("NVVQ"), FS, 4.0
    )


@pytest.mark.parametrize(
    ("samples", "symbols", "message"),
    [
        ([5, 9], "N", "2 samples need"),
        ([9, 5], "NN", "in order"),
        ([5, 5], "NN", "in order"),
        ([5, 9], "N~", "~ is no class"),
    ],
)
def test_beats_that_make_no_sense_are_refused(
    samples: list[int], symbols: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        summarise(np.asarray(samples), list(symbols), FS, 10.0)


def test_the_ectopy_of_a_real_record_is_what_counting_gives(real_data: Path) -> None:
    """Record 119 of mitdb has 444 single PVCs in 1,987 beats, with bigeminy and trigeminy."""
    found = wfdb.rdann(str(real_data / "mitdb" / "119"), "atr")
    beats = classify_all(found.symbol) >= 0
    record = summarise(found.sample[beats], np.asarray(found.symbol)[beats], 360.0, 650_000 / 360.0)
    assert (record.beats, record.pvcs, record.couplets, record.runs) == (1987, 444, 0, 0)
    assert record.burden_percent == pytest.approx(22.345, abs=0.001)
    assert record.bigeminy_episodes > 5
    assert record.trigeminy_episodes > 5
    assert record.mean_heart_rate == pytest.approx(66, abs=1)


def test_runs_of_a_real_record_equal_a_simple_loops(real_data: Path) -> None:
    found = wfdb.rdann(str(real_data / "mitdb" / "203"), "atr")
    beats = classify_all(found.symbol) >= 0
    symbols = np.asarray(found.symbol)[beats]
    lengths, current = [], 0
    for symbol in [*symbols, "N"]:
        if symbol in "VEr":
            current += 1
        elif current:
            lengths.append(current)
            current = 0
    record = summarise(found.sample[beats], symbols, 360.0, 650_000 / 360.0)
    assert record.couplets == lengths.count(2)
    assert record.runs == sum(length >= 3 for length in lengths)
    assert record.longest_run_beats == max(lengths)


def test_as_dict_holds_plain_values_only() -> None:
    assert {type(value) for value in ectopy("NVVVNVNQ").as_dict().values()} <= {
        int,
        float,
        type(None),
    }
