"""Held out are patients, not records, and once and for all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgfl_cli.store.catalogue import RecordRow
from ecgfl_cli.store.splits import new_splits


def row(patient: str, record: str, pvcs: int, status: str = "usable") -> RecordRow:
    return RecordRow(
        record,
        patient,
        "",
        "",
        status,
        250.0,
        1000,
        ("II",),
        "II",
        "wfdb",
        "x",
        {"N": 50, "V": pvcs},
        {},
        (),
        "now",
    )


PATIENTS = st.dictionaries(
    st.text("0123456789abcdef", min_size=16, max_size=16), st.integers(0, 3), max_size=60
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(PATIENTS, st.integers(0, 60))
def test_splits_never_change_when_patients_come(patients: dict[str, int], first: int) -> None:
    rows = [
        row(patient, f"r{number}", pvcs) for number, (patient, pvcs) in enumerate(patients.items())
    ]
    early = new_splits(rows[:first], {})
    late = new_splits(rows, early)
    assert not set(early) & set(late)
    assert set(early) | set(late) == set(patients)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(PATIENTS)
def test_a_fifth_of_the_patients_of_each_kind_is_held_out(patients: dict[str, int]) -> None:
    splits = new_splits([row(patient, patient, pvcs) for patient, pvcs in patients.items()], {})
    for kind in (True, False):
        of_kind = [splits[patient] for patient, pvcs in patients.items() if (pvcs > 0) is kind]
        assert abs(of_kind.count("held-out") - len(of_kind) / 5) <= 0.5


def test_three_patients_are_enough_to_hold_one_out() -> None:
    splits = new_splits([row(name, name, 5) for name in "abc"], {})
    assert sorted(splits.values()) == ["held-out", "train", "train"]


def test_rejected_and_unlabelled_records_have_no_split() -> None:
    assert new_splits([row("a", "r1", 0, "rejected"), row("b", "r2", 0, "unlabelled")], {}) == {}


def test_two_recordings_of_a_patient_are_in_one_split(
    site: Path,  # noqa: ARG001
    ecgfl: Callable[..., Any],
    export: Any,
) -> None:
    for seed in range(1, 11):
        path = export(seed, "edf", seconds=20)
        raw = bytearray(path.read_bytes())
        raw[8:88] = f"P{seed % 5} X X Doe".encode().ljust(80)
        path.write_bytes(raw)
    assert ecgfl("ingest", path.parent).code == 0
    assert ecgfl("segment").code == 0
    records = ecgfl("dataset", "list", "--json").json["recordings"]
    assert len(records) == 10
    assert len({record["patient"] for record in records}) == 5
    assert len({(record["patient"], record["split"]) for record in records}) == 5
    assert {record["split"] for record in records} == {"train", "held-out"}
    before = {record["record"]: record["split"] for record in records}
    for seed in range(20, 26):
        ecgfl("ingest", export(seed, "csv", seconds=20))
    ecgfl("segment")
    after = {
        record["record"]: record["split"]
        for record in ecgfl("dataset", "list", "--json").json["recordings"]
    }
    assert len(after) == 16
    assert {record: after[record] for record in before} == before
