import numpy as np
import pytest

from ecgfl_cli.evaluation.comparison import Comparison


def comparison(seconds: float = 3600.0, **cells: int) -> Comparison:
    matrix = np.zeros((7, 7), dtype=np.int64)
    for cell, count in cells.items():
        matrix["NSVFQOX".index(cell[0]), "nsvfqox".index(cell[1])] = count
    return Comparison(matrix, seconds)


def test_figures_follow_the_cells_that_ec57_names() -> None:
    beats = comparison(
        Nn=1000, Nv=3, Nq=2, No=4, Nx=1, Sn=20, Sv=2, Fv=7, Ff=3, Qv=6, Qq=4, On=8, Ov=2, Xv=1
    )
    figures = beats + comparison(Vn=5, Vs=1, Vv=90, Vf=1, Vq=1, Vo=1, Vx=1)
    assert (figures.veb_tp, figures.veb_fn, figures.veb_fp) == (90, 10, 3 + 2 + 2 + 1)
    assert figures.veb_sensitivity == pytest.approx(0.9)
    assert figures.veb_ppv == pytest.approx(90 / 98)
    assert figures.veb_f1 == pytest.approx(180 / 198)
    assert figures.veb_false_positives_per_hour == pytest.approx(4.0)
    assert figures.veb_false_positive_rate == pytest.approx(8 / (8 + 1000 + 2 + 20 + 3 + 4 + 8))
    assert (figures.qrs_tp, figures.qrs_fn, figures.qrs_fp) == (1005 + 22 + 98 + 10 + 10, 7, 11)
    assert figures.qrs_f1 == pytest.approx(2 * 1145 / (2 * 1145 + 7 + 11))
    assert figures.veb_errors == 18
    assert figures.hours == 2.0


def test_an_undefined_figure_is_none() -> None:
    nothing = Comparison.empty()
    assert nothing.qrs_sensitivity is nothing.qrs_positive_predictivity is nothing.qrs_f1 is None
    assert nothing.veb_sensitivity is nothing.veb_ppv is nothing.veb_f1 is None
    assert nothing.veb_false_positives_per_hour is nothing.veb_false_positive_rate is None


def test_gross_figures_come_from_added_counts() -> None:
    gross = comparison(Vv=9, Vn=1) + comparison(Vv=1, Vn=1, seconds=1800.0)
    assert gross == comparison(Vv=10, Vn=2, seconds=5400.0)
    assert gross.veb_sensitivity == pytest.approx(10 / 12)


def test_counts_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="read-only"):
        comparison(Vv=1).matrix[0, 0] = 1


def test_a_matrix_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="7 x 7"):
        Comparison(np.zeros((6, 6), dtype=np.int64), 0.0)
