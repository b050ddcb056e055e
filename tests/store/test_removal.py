"""`dataset remove` leaves no byte of a recording, nor of what was derived from it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ecgfl = Callable[..., Any]


@pytest.fixture
def stored(site: Path, ecgfl: Ecgfl, export: Any, listed: Any) -> list[dict[str, Any]]:  # noqa: ARG001
    for seed in (1, 2, 3):
        path = export(seed, "edf")
        raw = bytearray(path.read_bytes())
        raw[8:88] = f"MRN-{min(seed, 2)} X X X".encode().ljust(80)
        path.write_bytes(raw)
    assert ecgfl("ingest", path.parent).code == 0
    for arch in ("beatnet", "ecgnet"):
        assert ecgfl("segment", "--arch", arch).code == 0
    rows: list[dict[str, Any]] = listed()
    return rows


def test_removed_recording_remains_only_in_the_audit_log(
    site: Path, stored: list[dict[str, Any]], ecgfl: Ecgfl, files_of: Any, listed: Any
) -> None:
    gone = stored[0]
    signal = (site / "records" / gone["record"] / f"{gone['record']}.dat").read_bytes()[1000:1064]
    assert ecgfl("dataset", "remove", gone["record"]).code == 0
    assert [row["record"] for row in listed()] == [row["record"] for row in stored[1:]]
    for name, raw in files_of(site).items():
        if name not in ("audit.jsonl", "audit.head"):
            assert gone["record"].encode() not in raw + name.encode(), name
            assert gone["labels"].encode() not in raw, name
            assert signal not in raw, name
    assert ecgfl("validate").code == ecgfl("segment").code == ecgfl("audit", "verify").code == 0


def test_a_patient_is_removed_with_all_recordings(
    site: Path, stored: list[dict[str, Any]], ecgfl: Ecgfl, files_of: Any, listed: Any
) -> None:
    counts = {
        row["patient"]: [other["record"] for other in stored if other["patient"] == row["patient"]]
        for row in stored
    }
    patient, records = next(
        (patient, records) for patient, records in counts.items() if len(records) == 2
    )
    ran = ecgfl("dataset", "remove", patient, "--json")
    assert sorted(ran.json["records"]) == sorted(records)
    assert len(listed()) == 1
    for name, raw in files_of(site).items():
        if name not in ("audit.jsonl", "audit.head"):
            assert not any(word.encode() in raw + name.encode() for word in (patient, *records)), (
                name
            )


def test_a_name_that_is_not_there_removes_nothing(
    stored: list[dict[str, Any]], ecgfl: Ecgfl, listed: Any
) -> None:
    ran = ecgfl("dataset", "remove", stored[0]["record"], "0123456789abcdef")
    assert ran.code == 2
    assert "0123456789abcdef" in ran.err
    assert len(listed()) == 3
