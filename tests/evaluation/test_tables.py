import numpy as np

from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.paired import PairedEvaluation
from ecgfl_cli.evaluation.report import Evaluation
from ecgfl_cli.evaluation.tables import (
    difference_table,
    errors_text,
    gross_table,
    qrs_table,
    side_by_side_table,
    veb_table,
)


def record(**cells: int) -> Comparison:
    matrix = np.zeros((7, 7), dtype=np.int64)
    for cell, count in cells.items():
        matrix["NSVFQOX".index(cell[0]), "nsvfqox".index(cell[1])] = count
    return Comparison(matrix, 1800.0)


FIRST = Evaluation.of({"1": record(Nn=90, Vv=8, Vn=1, Vo=1, Nv=2), "2": record(Nn=100, On=25)})
SECOND = Evaluation.of({"1": record(Nn=92, Vv=10), "2": record(Nn=100, Ov=25)})


def test_record_table_ends_with_gross_and_leaves_undefined_empty() -> None:
    title, columns, rows, footer = veb_table("VEB", FIRST)
    assert (title, columns) == (
        "VEB",
        ("record ", "TP", "FN", "FP", "Se %", "+P %", "F1 %", "FP/h"),
    )
    assert rows == [("1", 8, 2, 2, 80.0, 80.0, 80.0, 4.0), ("2", 0, 0, 0, None, None, None, 0.0)]
    assert footer == ("gross", 8, 2, 2, 80.0, 80.0, 80.0, 2.0)
    assert qrs_table("QRS", FIRST).rows[1] == ("2", 100, 0, 25, 100.0, 80.0, 100 * 200 / 225)


def test_gross_table_has_intervals_and_record_means() -> None:
    rows = {row[0]: row[1:] for row in gross_table("", FIRST).rows}
    assert rows["VEB FP/h"] == (2.0, 0.0, 4.0, 2.0)
    assert rows["QRS +P %"] == (100 * 201 / 226, 80.0, 100.0, 90.0)


def test_two_models_are_side_by_side_with_their_difference() -> None:
    paired = PairedEvaluation.of(FIRST, SECOND)
    table = side_by_side_table("", paired)
    assert table.rows == [("1", 2, 0, 2, 0, 80.0, 100.0), ("2", 0, 0, 0, 25, None, 0.0)]
    assert table.footer == ("gross", 2, 0, 2, 25, 80.0, 100 * 20 / 45)
    rows = {row[0]: row[1:] for row in difference_table("", paired).rows}
    assert rows["VEB FP/h"] == (2.0, 25.0, "-23.00", "-50.00", "+4.00")
    assert rows["VEB Se %"] == (80.0, 100.0, "-20.00", "-20.00", "-20.00")
    assert errors_text(paired) == (
        "A makes fewer VEB errors (FN + FP) than B in 1 records, more in 1, as many in 0; exact "
        "sign test p = 1"
    )


def test_records_that_tell_nothing_apart_have_no_sign_test() -> None:
    assert "sign test" not in errors_text(PairedEvaluation.of(FIRST, FIRST))
