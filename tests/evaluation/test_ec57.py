import numpy as np
import pytest
from numpy.typing import NDArray

from ecgfl_cli.evaluation.annotations import BeatAnnotations
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.ec57 import compare
from ecgfl_cli.evaluation.report import STATISTICS

FS = 360.0
LENGTH = 650_000
T = 200_000
"""A sample well inside the evaluated time.

The match window is 54 samples at 360 Hz, the learning period 108,000.
"""


def annotations(
    *beats: tuple[int, str], subtypes: tuple[int, ...] | None = None
) -> BeatAnnotations:
    return BeatAnnotations(
        np.asarray([sample for sample, _ in beats], dtype=np.int64),
        tuple(symbol for _, symbol in beats),
        None if subtypes is None else np.asarray(subtypes, dtype=np.int64),
    )


def counts(**cells: int) -> NDArray[np.int64]:
    """A matrix from its cells by name: Vv=1, On=2."""
    matrix = np.zeros((7, 7), dtype=np.int64)
    for cell, count in cells.items():
        matrix["NSVFQOX".index(cell[0]), "nsvfqox".index(cell[1])] = count
    return matrix


def check(reference: BeatAnnotations, test: BeatAnnotations, **cells: int) -> Comparison:
    comparison = compare(reference, test, FS, LENGTH)
    np.testing.assert_array_equal(comparison.matrix, counts(**cells))
    return comparison


def test_the_matrix_of_each_pair_of_classes() -> None:
    symbols = {"N": "N", "S": "A", "V": "V", "F": "F", "Q": "Q"}
    for row, reference in symbols.items():
        for column, test in symbols.items():
            check(annotations((T, reference)), annotations((T, test)), **{row + column.lower(): 1})


@pytest.mark.parametrize(("fs", "window"), [(360.0, 54), (128.0, 19), (250.0, 38), (1000.0, 150)])
@pytest.mark.parametrize("side", [-1, 1])
def test_window_includes_its_edge_and_no_more(fs: float, window: int, side: int) -> None:
    at, length = int(400 * fs), int(800 * fs)
    near = compare(annotations((at, "V")), annotations((at + side * window, "V")), fs, length)
    far = compare(annotations((at, "V")), annotations((at + side * (window + 1), "V")), fs, length)
    np.testing.assert_array_equal(near.matrix, counts(Vv=1))
    np.testing.assert_array_equal(far.matrix, counts(Vo=1, Ov=1))


def test_a_missed_beat_and_an_extra_one() -> None:
    comparison = check(
        annotations((T, "N"), (T + 300, "V")),
        annotations((T, "N"), (T + 600, "V")),
        Nn=1,
        Vo=1,
        Ov=1,
    )
    assert (comparison.qrs_tp, comparison.qrs_fn, comparison.qrs_fp) == (1, 1, 1)
    assert (comparison.veb_tp, comparison.veb_fn, comparison.veb_fp) == (0, 1, 1)


def test_beat_matches_the_nearer_of_two_detections() -> None:
    check(annotations((T, "V")), annotations((T - 30, "N"), (T + 10, "V")), On=1, Vv=1)
    check(annotations((T, "V")), annotations((T - 10, "V"), (T + 30, "N")), Vv=1, On=1)
    check(annotations((T, "V")), annotations((T + 10, "V"), (T + 30, "N")), Vv=1, On=1)


def test_equally_near_detections_match_the_later() -> None:
    check(annotations((T, "V")), annotations((T - 20, "N"), (T + 20, "V")), On=1, Vv=1)


def test_detection_matches_the_nearer_of_two_beats() -> None:
    check(annotations((T, "N"), (T + 60, "V")), annotations((T + 50, "V")), No=1, Vv=1)


def test_beats_closer_than_two_windows_are_paired_in_order() -> None:
    """The example in bxb.c's history: before 2002 the first beat counted as missed.

    The window is 37 samples.
    """
    reference = annotations((96, "N"), (160, "N"))
    test = annotations((128, "N"), (185, "N"))
    comparison = compare(reference, test, 1.0, 1000, start_s=50, window_s=37)
    np.testing.assert_array_equal(comparison.matrix, counts(Nn=2))


def test_f_or_q_called_v_is_not_counted() -> None:
    comparison = check(
        annotations((T, "F"), (T + 300, "/"), (T + 600, "V")),
        annotations((T, "V"), (T + 300, "V"), (T + 600, "V")),
        Fv=1,
        Qv=1,
        Vv=1,
    )
    assert (comparison.veb_tp, comparison.veb_fn, comparison.veb_fp) == (1, 0, 0)
    assert comparison.qrs_tp == 3


def test_double_detections_of_close_beats_leave_one_extra_each() -> None:
    """108 samples apart, twice the match window."""
    reference = annotations((T, "N"), (T + 108, "V"))
    check(
        reference,
        annotations((T - 10, "N"), (T + 20, "N"), (T + 90, "V"), (T + 120, "V")),
        Nn=1,
        Vv=1,
        On=1,
        Ov=1,
    )


def test_every_other_name_for_a_v_is_a_miss() -> None:
    beats = [(T + 300 * place, "V") for place in range(5)]
    calls = zip((T, T + 300, T + 600, T + 900), "NAFQ", strict=True)
    comparison = check(annotations(*beats), annotations(*calls), Vn=1, Vs=1, Vf=1, Vq=1, Vo=1)
    assert comparison.veb_fn == 5


def test_escape_beats_stand_in_the_row_in_which_bxb_puts_them() -> None:
    check(annotations((T, "e"), (T + 300, "j"), (T + 600, "n")), annotations(), So=3)


def test_the_first_five_minutes_do_not_count() -> None:
    check(
        annotations((107_999, "V"), (108_000, "V")),
        annotations((50_000, "V"), (108_000, "N")),
        Vn=1,
    )


def test_counts_early_detection_of_the_first_beat() -> None:
    check(annotations((108_010, "V")), annotations((107_990, "V"), (109_000, "N")), Vv=1, On=1)


def test_skips_detection_of_a_beat_before_the_start() -> None:
    check(
        annotations((107_990, "V"), (108_300, "N")),
        annotations((108_010, "V"), (108_300, "N")),
        Nn=1,
    )


def test_an_extra_detection_a_window_after_the_start_counts() -> None:
    check(
        annotations((107_990, "V"), (108_300, "N")),
        annotations((108_055, "V"), (108_300, "N")),
        Ov=1,
        Nn=1,
    )


def test_annotations_past_the_end_do_not_count() -> None:
    check(
        annotations((T, "N"), (LENGTH + 1, "V")), annotations((T, "N"), (LENGTH + 200, "V")), Nn=1
    )


def test_a_beat_at_the_end_is_found_by_a_detection_past_it() -> None:
    check(annotations((LENGTH, "V")), annotations((LENGTH + 30, "V")), Vv=1)


def test_empty_lists_give_only_missed_or_only_extra_beats() -> None:
    beats = annotations((T, "N"), (T + 300, "V"))
    missed = check(beats, annotations(), No=1, Vo=1)
    extra = check(annotations(), beats, On=1, Ov=1)
    assert (missed.qrs_sensitivity, missed.qrs_positive_predictivity, missed.veb_ppv) == (
        0.0,
        None,
        None,
    )
    assert (extra.qrs_sensitivity, extra.qrs_positive_predictivity, extra.veb_sensitivity) == (
        None,
        0.0,
        None,
    )


def test_beats_and_detections_during_fibrillation_are_left_out() -> None:
    reference = annotations(
        (T, "N"), (T + 300, "["), (T + 600, "V"), (T + 900, "!"), (T + 1200, "]"), (T + 1500, "V")
    )
    test = annotations(
        (T, "N"), (T + 300, "V"), (T + 620, "V"), (T + 1200, "N"), (T + 1500, "V"), (T + 1800, "V")
    )
    check(reference, test, Nn=1, Vv=1, Ov=1)


def test_detections_in_open_fibrillation_are_left_out() -> None:
    check(
        annotations((T, "N"), (T + 300, "[")),
        annotations((T, "N"), (T + 900, "V"), (T + 90_000, "V")),
        Nn=1,
    )


def test_beats_in_fibrillation_of_the_test_are_missed() -> None:
    check(
        annotations((T, "V"), (T + 300, "V")),
        annotations((T - 100, "["), (T, "V"), (T + 100, "]"), (T + 300, "V")),
        Vo=1,
        Vv=1,
    )


def test_flutter_wave_uses_up_a_detection() -> None:
    check(annotations((T, "!"), (T + 300, "!")), annotations((T, "V")), Ov=1)


def test_detections_in_unreadable_reference_are_in_row_x() -> None:
    reference = annotations(
        (T, "N"), (T + 200, "~"), (T + 900, "~"), (T + 1200, "N"), subtypes=(0, 0x30, 0, 0)
    )
    test = annotations((T, "N"), (T + 500, "V"), (T + 1200, "N"), (T + 1500, "V"))
    comparison = check(reference, test, Nn=2, Xv=1, Ov=1)
    assert comparison.veb_fp == 2


def test_beats_missed_during_shutdown_are_in_column_x() -> None:
    test = annotations(
        (T, "N"), (T + 200, "~"), (T + 900, "~"), (T + 1500, "N"), subtypes=(0, -1, 1, 0)
    )
    comparison = check(
        annotations((T, "N"), (T + 500, "V"), (T + 1200, "V"), (T + 1500, "N")),
        test,
        Nn=2,
        Vx=1,
        Vo=1,
    )
    assert comparison.veb_fn == 2


def test_shutdown_mark_lasts_from_beat_to_beat() -> None:
    reference = annotations((T, "N"), (T + 500, "~"), (T + 1000, "N"), subtypes=(0, -1, 0))
    test = annotations((T, "N"), (T + 100, "V"), (T + 900, "V"), (T + 1000, "N"))
    check(reference, test, Nn=2, Xv=2)


def test_open_shutdown_lasts_to_the_end() -> None:
    marks = annotations((T, "N"), (T + 500, "~"), subtypes=(0, 0x30))
    check(marks, annotations((T, "N"), (T + 400, "V"), (T + 90_000, "V")), Nn=1, Ov=1, Xv=1)
    check(annotations((T, "N"), (T + 400, "V"), (T + 90_000, "V")), marks, Nn=1, Vo=1, Vx=1)


def test_shutdown_mark_after_fibrillation_starts_at_its_end() -> None:
    reference = annotations(
        (T, "N"),
        (T + 300, "["),
        (T + 600, "]"),
        (T + 900, "~"),
        (T + 1200, "N"),
        subtypes=(0, 0, 0, 0x30, 0),
    )
    # From 54 samples after the end of the fibrillation to 54 before the next annotation, both
    # included.
    test = annotations(*((T + after, "V") for after in (653, 654, 1146)), (T + 1200, "N"))
    check(reference, test, No=1, Ov=1, Xv=2, Nn=1)


def test_forgets_last_shutdown_of_the_test_like_bxb() -> None:
    """bxb notes for the reference alone that the last shutdown lasts to the end.

    A miss it is in either column.
    """
    shutdowns = ((T, "~"), (T + 300, "~"), (T + 600, "N"), (T + 900, "~"))
    beats = ((T + 100, "V"), (T + 600, "N"), (T + 1000, "V"))
    check(
        annotations(*beats), annotations(*shutdowns, subtypes=(0x30, 0, 0, 0x30)), Vx=1, Nn=1, Vo=1
    )
    check(annotations(*shutdowns, subtypes=(0x30, 0, 0, 0x30)), annotations(*beats), Xv=2, Nn=1)


def test_forgets_first_of_three_episodes_like_bxb() -> None:
    episodes = ((T + 300 * place, "[" if place % 2 else "]") for place in range(1, 7))
    test = annotations(*((T + 450 + 600 * place, "V") for place in range(3)))
    check(annotations(*episodes, (T + 3000, "N")), test, Ov=1, No=1)


def test_no_figure_depends_on_whether_shutdowns_are_known() -> None:
    """The labels of a `Recording` hold no subtypes."""
    reference, subtypes = (
        ((T, "V"), (T + 200, "~"), (T + 900, "~"), (T + 1200, "V")),
        (0, 0x30, 0, 0),
    )
    test = annotations((T, "V"), (T + 500, "V"), (T + 1500, "N"))
    known = compare(annotations(*reference, subtypes=subtypes), test, FS, LENGTH)
    unknown = compare(annotations(*reference), test, FS, LENGTH)
    assert (known.count("Xv"), unknown.count("Ov")) == (1, 1)
    for name, statistic in STATISTICS.items():
        assert known.value(statistic) == unknown.value(statistic), name


def test_noise_with_one_readable_signal_is_no_shutdown() -> None:
    check(annotations((T, "~"), subtypes=(0x10,)), annotations((T + 100, "N")), On=1)


def test_a_record_no_longer_than_the_learning_period_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"300\.0 s is not longer than the learning period of 300 s"
    ):
        compare(annotations(), annotations(), FS, 108_000)


def test_without_a_learning_period_the_first_beat_counts() -> None:
    comparison = compare(annotations((5, "V")), annotations((7, "V")), FS, 1000, start_s=0.0)
    np.testing.assert_array_equal(comparison.matrix, counts(Vv=1))


def test_annotations_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="sample 3 follows 5"):
        annotations((5, "N"), (3, "N"))
