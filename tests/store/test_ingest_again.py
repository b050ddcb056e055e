"""Ingesting is idempotent; new labels make an update."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ecgfl = Callable[..., Any]


def content(home: Path, files_of: Callable[[Path], dict[str, bytes]]) -> dict[str, bytes]:
    return {
        name: raw
        for name, raw in files_of(home).items()
        if name not in ("audit.jsonl", "audit.head")
    }


@pytest.mark.parametrize("file_format", ["wfdb", "edf", "csv"])
def test_the_same_file_twice_changes_nothing(
    site: Path, ecgfl: Ecgfl, export: Any, files_of: Any, file_format: str
) -> None:
    path = export(1, file_format)
    assert ecgfl("ingest", path, "--json").json["outcomes"] == {"added": 1}
    assert ecgfl("segment").code == 0
    before = content(site, files_of)
    assert ecgfl("ingest", path, "--json").json["outcomes"] == {"unchanged": 1}
    assert content(site, files_of) == before


def test_a_copy_elsewhere_is_the_same_recording(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    listed: Any,
) -> None:
    path = export(1)
    assert ecgfl("ingest", path).code == 0
    (tmp_path / "copy").mkdir()
    for file in path.parent.glob("synthetic-1.*"):
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    assert ecgfl("ingest", tmp_path / "copy", "--json").json["outcomes"] == {"unchanged": 1}
    assert len(listed()) == 1


def test_new_labels_update_the_record_and_cut_its_beats_again(
    site: Path, ecgfl: Ecgfl, export: Any, listed: Any
) -> None:
    path = export(1, "csv")
    assert ecgfl("ingest", path).code == 0
    before = ecgfl("segment", "--json").json["records"][0]
    (record,) = listed()
    labels = path.with_name("synthetic-1.labels.csv")
    text = labels.read_text()
    assert ",V" in text
    labels.write_text(text.replace(",V", ",F"))
    assert ecgfl("ingest", path, "--json").json["outcomes"] == {"updated": 1}
    (updated,) = listed()
    assert updated["record"] == record["record"]
    assert (updated["counts"].get("V", 0), updated["counts"]["F"]) == (0, record["counts"]["V"])
    assert not list((site / "beats").rglob("*.safetensors"))
    after = ecgfl("segment", "--json").json["records"][0]
    assert after["cut"]
    assert (after["beats"]["V"], after["beats"]["F"]) == (0, before["beats"]["V"])


def test_labels_none_makes_it_unlabelled(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    listed: Any,
) -> None:
    path = export(1)
    assert ecgfl("ingest", path, "--labels", "none").code == 0
    (record,) = listed()
    assert record["status"] == "unlabelled"
    assert "--labels" in record["reason"]
    assert ecgfl("segment", "--json").json["records"] == []


def test_segmenting_again_cuts_nothing_again(
    site: Path, ecgfl: Ecgfl, export: Any, files_of: Any
) -> None:
    assert ecgfl("ingest", export(1), export(2)).code == 0
    assert [record["cut"] for record in ecgfl("segment", "--json").json["records"]] == [True, True]
    before = content(site, files_of)
    assert [record["cut"] for record in ecgfl("segment", "--json").json["records"]] == [
        False,
        False,
    ]
    assert content(site, files_of) == before


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, None])
def test_damaged_or_lost_beats_are_cut_again(
    site: Path, ecgfl: Ecgfl, export: Any, files_of: Any, damage: bytes | None
) -> None:
    assert ecgfl("ingest", export(1)).code == 0
    assert ecgfl("segment").code == 0
    before = content(site, files_of)
    (path,) = (site / "beats").rglob("*.safetensors")
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert ecgfl("segment").code == 0
    assert content(site, files_of) == before


def test_a_record_whose_signal_was_lost_comes_back(
    site: Path, ecgfl: Ecgfl, export: Any, files_of: Any
) -> None:
    """A kill between removing an old signal and placing the new one, or a restored backup."""
    import shutil

    path = export(1)
    assert ecgfl("ingest", path).code == 0
    before = content(site, files_of)
    (folder,) = (site / "records").iterdir()
    shutil.rmtree(folder)
    assert ecgfl("ingest", path).code == 0
    assert content(site, files_of).keys() == before.keys()


def test_every_ingest_is_in_the_audit_log(site: Path, ecgfl: Ecgfl, export: Any) -> None:  # noqa: ARG001
    path = export(1)
    ecgfl("ingest", path)
    ecgfl("ingest", path)
    entries = ecgfl("audit", "show", "--json").json["entries"]
    assert [entry["outcomes"] for entry in entries if entry["event"] == "ingest"] == [
        {"added": 1},
        {"unchanged": 1},
    ]


def test_copy_without_labels_does_not_replace_lost_signals(
    site: Path, ecgfl: Ecgfl, export: Callable[..., Path]
) -> None:
    """The store must not say that it holds labels which it has not."""
    import shutil

    path = export(1)
    assert ecgfl("ingest", path).code == 0
    (record,) = ecgfl("dataset", "list", "--json").json["recordings"]
    shutil.rmtree(site / "records" / record["record"])
    assert ecgfl("ingest", path, "--labels", "none").code == 0
    (bare,) = ecgfl("dataset", "list", "--json").json["recordings"]
    assert bare["status"] == "unlabelled"
    assert ecgfl("ingest", path, "--json").json["outcomes"] == {"updated": 1}
    (whole,) = ecgfl("dataset", "list", "--json").json["recordings"]
    assert whole["status"] == "usable"


def test_a_bare_copy_with_another_lead_name_takes_no_labels_away(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    listed: Any,
) -> None:
    path = export(1)
    assert ecgfl("ingest", path).code == 0
    path.with_suffix(".atr").unlink()
    path.write_text(path.read_text().replace("MLII", "II"))
    assert ecgfl("ingest", path, "--json").json["outcomes"] == {"unchanged": 1}
    (record,) = listed()
    assert record["status"] == "usable"


def test_new_settings_reach_what_is_in_the_store(
    site: Path, ecgfl: Ecgfl, export: Any, listed: Any
) -> None:
    path = export(1)
    assert ecgfl("ingest", path).code == 0
    settings = site / "site.toml"
    settings.write_text(settings.read_text().replace("[limits]", "[limits]\nmin_seconds = 1000"))
    assert ecgfl("ingest", path, "--json").json["outcomes"] == {"updated": 1}
    (record,) = listed()
    assert record["status"] == "rejected"
    assert ecgfl("ingest", path, "--json").json["outcomes"] == {"unchanged": 1}
