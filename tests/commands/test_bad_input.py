"""Unusable files give one line with problem and fix, the exit code, and no partial result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ecgfl = Callable[..., Any]


def missing(export: Any, folder: Path) -> Path:  # noqa: ARG001
    return folder / "missing.edf"


def empty_edf(export: Any, folder: Path) -> Path:  # noqa: ARG001
    (folder / "empty.edf").write_bytes(b"")
    return folder / "empty.edf"


def empty_csv(export: Any, folder: Path) -> Path:  # noqa: ARG001
    (folder / "empty.csv").write_bytes(b"")
    return folder / "empty.csv"


def truncated_edf(export: Any, folder: Path) -> Path:  # noqa: ARG001
    path = export(1, "edf")
    path.write_bytes(path.read_bytes()[:20_000])
    return path


def edf_header_only(export: Any, folder: Path) -> Path:  # noqa: ARG001
    path = export(1, "edf")
    path.write_bytes(path.read_bytes()[:300])
    return path


def truncated_wfdb(export: Any, folder: Path) -> Path:  # noqa: ARG001
    path = export(1)
    signals = path.with_suffix(".dat")
    signals.write_bytes(signals.read_bytes()[:10_001])
    return path


def wfdb_without_signals(export: Any, folder: Path) -> Path:  # noqa: ARG001
    path = export(1)
    path.with_suffix(".dat").unlink()
    return path


def truncated_labels(export: Any, folder: Path) -> Path:  # noqa: ARG001
    path = export(1)
    labels = path.with_suffix(".atr")
    labels.write_bytes(labels.read_bytes()[:21])
    return path


def prose(export: Any, folder: Path) -> Path:  # noqa: ARG001
    (folder / "letter.csv").write_text(
        "Dear colleague,\nthank you for sending Mr. Doe.\nHe has no complaints.\n" * 20
    )
    return folder / "letter.csv"


def unknown_unit(export: Any, folder: Path) -> Path:  # noqa: ARG001
    (folder / "unit.csv").write_text("# fs_hz: 250\nII (furlong)\n" + "1\n2\n3\n" * 900)
    return folder / "unit.csv"


def no_unit(export: Any, folder: Path) -> Path:  # noqa: ARG001
    (folder / "nounit.csv").write_text("# fs_hz: 250\nII\n" + "1\n2\n3\n" * 900)
    return folder / "nounit.csv"


def unknown_rate(export: Any, folder: Path) -> Path:  # noqa: ARG001
    (folder / "rate.csv").write_text("II (mV),V1 (mV)\n" + "1,2\n2,1\n3,1\n" * 900)
    return folder / "rate.csv"


def a_picture(export: Any, folder: Path) -> Path:  # noqa: ARG001
    (folder / "ecg.jpg").write_bytes(b"\xff\xd8\xff\xe0" * 100)
    return folder / "ecg.jpg"


BAD = [
    missing,
    empty_edf,
    empty_csv,
    truncated_edf,
    edf_header_only,
    truncated_wfdb,
    wfdb_without_signals,
    truncated_labels,
    prose,
    unknown_unit,
    no_unit,
    unknown_rate,
    a_picture,
]
HINTS = {"no_unit": "--units", "unknown_rate": "--fs", "truncated_labels": "--labels none"}


def settled(home: Path, files_of: Any) -> set[str]:
    return {
        name
        for name in files_of(home)
        if name not in ("audit.jsonl", "audit.head", "catalogue.sqlite", "records")
    }


@pytest.mark.parametrize("make", BAD)
def test_ingest_refuses_it_in_one_line(
    site: Path,
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    files_of: Any,
    make: Callable[[Any, Path], Path],
) -> None:
    path, before = make(export, tmp_path), settled(site, files_of)
    ran = ecgfl("ingest", path)
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert path.stem in ran.problems[0]
    assert HINTS.get(make.__name__, "") in ran.problems[0]
    assert settled(site, files_of) == before
    assert ecgfl("dataset", "list", "--json").json["recordings"] == []


@pytest.mark.parametrize("make", BAD)
def test_validate_refuses_it_in_one_line_and_needs_no_home(
    home: Path, ecgfl: Ecgfl, export: Any, tmp_path: Path, make: Callable[[Any, Path], Path]
) -> None:
    ran = ecgfl("validate", make(export, tmp_path))
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert not home.exists()


@pytest.mark.parametrize("make", [make for make in BAD if make is not truncated_labels])
def test_predict_refuses_it_in_one_line(
    modelled: Path,
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    files_of: Any,
    make: Callable[[Any, Path], Path],
) -> None:
    path, before = make(export, tmp_path), files_of(modelled)
    ran = ecgfl("predict", path, "--out", tmp_path / "out")
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert not list((tmp_path / "out").glob("*"))
    assert files_of(modelled) == before


def test_a_bad_file_among_good_ones_stops_nothing(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
) -> None:
    ran = ecgfl(
        "ingest",
        export(1),
        missing(export, tmp_path),
        empty_edf(export, tmp_path),
        export(2),
        "--json",
    )
    assert ran.code == 3
    assert len(ran.problems) == 2
    assert ran.json["outcomes"] == {"added": 2, "unreadable": 2}


@pytest.mark.parametrize("verb", ["ingest", "validate", "predict", "evaluate"])
def test_a_lead_that_is_not_there_is_refused_with_those_that_are(
    modelled: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    verb: str,
) -> None:
    out = ("--out", tmp_path / "out") if verb == "predict" else ()
    ran = ecgfl(verb, export(1), "--lead", "V9", *out)
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert "V9" in ran.problems[0]
    assert "MLII" in ran.problems[0]
    assert "V1" in ran.problems[0]


@pytest.mark.parametrize("verb", ["ingest", "validate", "predict", "evaluate"])
def test_a_folder_without_recordings_is_unusable(
    modelled: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    tmp_path: Path,
    verb: str,
) -> None:
    (tmp_path / "nothing").mkdir()
    ran = ecgfl(verb, tmp_path / "nothing")
    assert ran.code == 3
    assert len(ran.problems) == 1


@pytest.mark.parametrize(
    "options",
    [("--fs", "nan"), ("--fs", "inf"), ("--fs", "0"), ("--units", "furlong"), ("--units", "adc:0")],
)
def test_an_option_that_makes_no_sense_is_refused(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    tmp_path: Path,
    options: tuple[str, str],
) -> None:
    (tmp_path / "plain.csv").write_text("II\n" + "0.1\n0.2\n0.3\n" * 900)
    given = {"--fs": "250", "--units": "mV"} | {options[0]: options[1]}
    ran = ecgfl(
        "ingest", tmp_path / "plain.csv", *(part for pair in given.items() for part in pair)
    )
    assert ran.code in (2, 3)
    assert len(ran.problems) == 1


def test_uncalibrated_record_is_refused_naming_units_option(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    real_data: Path,
) -> None:
    ran = ecgfl("ingest", real_data / "svdb" / "821.hea")
    assert ran.code == 3
    assert len(ran.problems) == 1
    assert "--units" in ran.problems[0]
