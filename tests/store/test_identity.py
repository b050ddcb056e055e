"""The same recording twice, one person under two identifiers, two persons under one."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import Pseudonyms

Ecgfl = Callable[..., Any]


@pytest.fixture
def of_patient(export: Any) -> Callable[[int, str], Path]:
    """of_patient(seed, field): an EDF+ file with that patient field."""

    def of_patient(seed: int, field: str) -> Path:
        path: Path = export(seed, "edf")
        raw = bytearray(path.read_bytes())
        raw[8:88] = field.encode().ljust(80)
        path.write_bytes(raw)
        return path

    return of_patient


def codes(ran: Any) -> list[list[str]]:
    interesting = {"duplicate-recording", "two-identifiers", "two-persons"}
    return [
        [each["code"] for each in result["findings"] if each["code"] in interesting]
        for result in ran.json["recordings"]
    ]


def test_a_copy_under_another_name_is_kept_once_and_said(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    listed: Any,
) -> None:
    path = export(1, "csv")
    copy = path.with_name("copy.csv")
    copy.write_bytes(path.read_bytes())
    copy.with_name("copy.labels.csv").write_bytes(
        path.with_name("synthetic-1.labels.csv").read_bytes()
    )
    ran = ecgfl("ingest", path.parent, "--json")
    assert ran.json["outcomes"] == {"added": 1, "unchanged": 1}
    assert codes(ran) == [[], ["duplicate-recording"]]
    assert len(listed()) == 1
    assert codes(ecgfl("ingest", path, "--json")) == [["duplicate-recording"]]


def test_the_same_file_again_is_no_duplicate(site: Path, ecgfl: Ecgfl, of_patient: Any) -> None:  # noqa: ARG001
    path = of_patient(1, "A1 F 02-MAY-1951 Haagse_Harry")
    assert ecgfl("ingest", path).code == 0
    assert codes(ecgfl("ingest", path, "--json")) == [[]]


def test_one_signal_under_two_identifiers_is_told(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    of_patient: Any,
    listed: Any,
) -> None:
    assert ecgfl("ingest", of_patient(1, "A1 F X X")).code == 0
    assert codes(ecgfl("ingest", of_patient(1, "B7 F X X"), "--json")) == [["two-identifiers"]]
    assert len(listed()) == 1


def test_one_person_under_two_identifiers_is_one_patient(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    of_patient: Any,
    listed: Any,
) -> None:
    assert ecgfl("ingest", of_patient(1, "A1 F 02-MAY-1951 Haagse_Harry")).code == 0
    ran = ecgfl("ingest", of_patient(2, "B7 F 02-MAY-1951 HAAGSE_HARRY"), "--json")
    assert codes(ran) == [["two-identifiers"]]
    assert len({row["patient"] for row in listed()}) == 1
    assert "same name and birth date" in ran.out
    assert "harry" not in ran.out.lower()


def test_two_persons_under_one_identifier_are_told(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    of_patient: Any,
    listed: Any,
) -> None:
    assert ecgfl("ingest", of_patient(1, "HOLTER7 F 02-MAY-1951 Haagse_Harry")).code == 0
    ran = ecgfl("ingest", of_patient(2, "HOLTER7 M 03-JUN-1960 Jansen_Jan"), "--json")
    assert codes(ran) == [["two-persons"]]
    record = ran.json["recordings"][0]["record"]
    assert "two-persons" in ecgfl("dataset", "show", record).out
    assert len(listed()) == 2


def test_a_name_without_a_birth_date_proves_nothing(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    of_patient: Any,
) -> None:
    ecgfl("ingest", of_patient(1, "A1 F X Haagse_Harry"))
    assert codes(ecgfl("ingest", of_patient(2, "B7 F X Haagse_Harry"), "--json")) == [[]]


@pytest.mark.parametrize(
    ("setting", "kept", "methods"),
    [
        ("none of them", {}, ["113100", "113105", "113107"]),
        ("keep_age_band", {"age_band": "60-69"}, ["113100", "113105", "113107", "113108"]),
        ("keep_sex", {"sex": "F"}, ["113100", "113105", "113107", "113108"]),
    ],
)
def test_age_band_and_sex_are_kept_only_if_the_site_says_so(
    site: Path,
    ecgfl: Ecgfl,
    of_patient: Any,
    listed: Any,
    setting: str,
    kept: dict[str, str],
    methods: list[str],
) -> None:
    settings = site / "site.toml"
    settings.write_text(settings.read_text().replace(f"{setting} = false", f"{setting} = true"))
    path = of_patient(1, "A1 F 02-MAY-1951 Haagse_Harry")
    raw = bytearray(path.read_bytes())
    raw[168:176] = b"17.03.19"
    path.write_bytes(raw)
    assert ecgfl("ingest", path).code == 0
    (row,) = listed()
    assert row["characteristics"] == kept
    assert row["deidentification"] == methods


def test_one_person_is_one_patient_in_any_order_of_files(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    of_patient: Any,
    listed: Any,
) -> None:
    """A1 and B7 are one person's, as only the second file shows; the third has only B7."""
    for number, patient in enumerate(
        ("A1 F 02-MAY-1951 Haagse_Harry", "B7 F 02-MAY-1951 Haagse_Harry", "B7 F X X"), start=1
    ):
        assert ecgfl("ingest", of_patient(number, patient)).code == 0
    assert len({record["patient"] for record in listed()}) == 1


def test_two_patients_that_turn_out_to_be_one_are_united(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    of_patient: Any,
    listed: Any,
) -> None:
    for number, patient in enumerate(("A1 F X X", "B7 F 02-MAY-1951 Haagse_Harry"), start=1):
        assert ecgfl("ingest", of_patient(number, patient)).code == 0
    assert ecgfl("segment").code == 0
    assert len({record["patient"] for record in listed()}) == 2
    assert ecgfl("ingest", of_patient(3, "A1 F 02-MAY-1951 Haagse_Harry")).code == 0
    (patient,) = {record["patient"] for record in listed()}
    (split,) = {record["split"] for record in listed()}
    assert split == "train"
    assert ecgfl("dataset", "remove", patient).code == 0
    assert listed() == []


def patients(listed: Any) -> int:
    return len({record["patient"] for record in listed()})


@pytest.fixture
def folders(export: Any, tmp_path: Path) -> Callable[[dict[str, int]], Path]:
    """folders({"P000/ecg": 1, ...}): CSV files without an identifier, each with a seed."""

    def folders(places: dict[str, int]) -> Path:
        root = tmp_path / "tree"
        for place, seed in places.items():
            source = export(seed, "csv")
            target = root / f"{place}.csv"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.with_suffix(".labels.csv").write_bytes(
                source.with_suffix(".labels.csv").read_bytes()
            )
        return root

    return folders


def unclear(ran: Any) -> int:
    return sum(
        each["code"] == "patient-unclear"
        for result in ran.json["recordings"]
        for each in result["findings"]
    )


def test_equal_names_in_folders_are_not_one_patient(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    folders: Any,
    listed: Any,
) -> None:
    root = folders({"P000/ecg": 1, "P001/ecg": 2, "P002/data/ecg": 3})
    ran = ecgfl("ingest", root, "--json")
    assert ran.json["outcomes"] == {"added": 3}
    assert patients(listed) == 3
    assert unclear(ran) == 3


def test_folders_given_one_by_one_are_not_one_patient(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    folders: Any,
    listed: Any,
) -> None:
    root = folders({"P000/ecg": 1, "P001/ecg": 2})
    for folder in ("P000", "P001"):
        assert ecgfl("ingest", root / folder).code == 0
    assert patients(listed) == 2


def test_the_same_file_by_another_path_is_the_same_patient(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    folders: Any,
    listed: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = folders({"P000/ecg": 1, "P001/ecg": 2})
    assert ecgfl("ingest", root).code == 0
    before = listed()
    monkeypatch.chdir(root / "P000")
    for path in ("ecg.csv", "../P000/ecg.csv"):
        ran = ecgfl("ingest", path, "--json")
        assert ran.json["outcomes"] == {"unchanged": 1}
        assert codes(ran) == [[]]
    moved = root.rename(root.with_name("moved"))
    ran = ecgfl("ingest", moved, "--json")
    assert codes(ran) == [["duplicate-recording"], ["duplicate-recording"]]
    assert listed() == before


def test_names_that_say_who_in_one_folder_raise_no_finding(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    folders: Any,
    listed: Any,
) -> None:
    ran = ecgfl("ingest", folders({"all/100": 1, "all/101": 2, "all/sele0111": 3}), "--json")
    assert (patients(listed), unclear(ran)) == (3, 0)


def test_several_files_in_a_patients_folder(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    folders: Any,
    listed: Any,
) -> None:
    root = folders({"P000/day1": 1, "P000/day2": 2, "P001/day1": 3, "P001/day2": 4})
    assert unclear(ecgfl("ingest", root, "--json")) == 4
    ran = ecgfl("ingest", root, "--patient", "folder", "--json")
    assert (ran.code, patients(listed), unclear(ran), codes(ran)) == (0, 2, 0, [[]] * 4)
    for row in listed():
        assert "patient-unclear" not in ecgfl("dataset", "show", row["record"]).out


def test_a_name_for_each_patient_in_folders_by_day(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    folders: Any,
    listed: Any,
) -> None:
    root = folders({"day1/P000": 1, "day2/P000": 2, "day1/P001": 3})
    assert ecgfl("ingest", root, "--patient", "name").code == 0
    assert patients(listed) == 2


def test_two_folders_up(site: Path, ecgfl: Ecgfl, folders: Any, listed: Any) -> None:  # noqa: ARG001
    root = folders({"P000/day1/ecg": 1, "P000/day2/ecg": 2, "P001/day1/ecg": 3})
    assert ecgfl("ingest", root, "--patient", "folder:2").code == 0
    assert patients(listed) == 2


@pytest.mark.parametrize("rule", ["mother", "folder:0", "folder:-1", "folder:12", "Folder", ""])
def test_a_rule_that_is_not_known_is_refused(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    folders: Any,
    rule: str,
) -> None:
    ran = ecgfl("ingest", folders({"P000/ecg": 1}), "--patient", rule)
    assert ran.code == 2
    assert f"--patient {rule}" in ran.problems[0]


def test_more_folders_up_than_there_are_is_refused(site: Path, ecgfl: Ecgfl, folders: Any) -> None:  # noqa: ARG001
    root = folders({"P000/ecg": 1})
    number = len((root / "P000").resolve().parts)
    if number > 9:
        pytest.skip("the folder of temporary files is too deep")
    ran = ecgfl("ingest", root, "--patient", f"folder:{number}")
    assert ran.code == 3
    assert f"has only {number - 1} folders above it" in ran.problems[0]


@pytest.mark.parametrize(
    "field",
    [
        *(
            "X X X Anonymous",
            "X X X X",
            "X X X",
            "",
            "X M X X",
            "anonymous",
            "Anonymous",
            "Unknown",
            "0000 X X NN",
        ),
        *(
            "TEST F X Test",
            "N/A",
            "n/a F X N/A",
            "Test Patient",
            "ANON F 01-JAN-1900 Anonymous",
            "Patient",
        ),
    ],
)
def test_a_placeholder_is_no_patient(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    of_patient: Any,
    listed: Any,
    field: str,
) -> None:
    for seed in (1, 2):
        assert ecgfl("ingest", of_patient(seed, field)).code == 0
    assert patients(listed) == 2


def pseudonym(home: Path, text: str) -> str:
    """The pseudonym that earlier versions gave a patient of this identifier."""
    return Pseudonyms(Home(home)).name("patient", text)


def merge(home: Path, patient: str, split: str = "train") -> None:
    """Imitate a store of an earlier version, in which all recordings are one patient's."""
    with closing(sqlite3.connect(home / "catalogue.sqlite")) as connection, connection:
        connection.execute("UPDATE records SET patient = ?", (patient,))
        connection.execute("DELETE FROM patients")
        connection.execute("INSERT INTO patients VALUES (?, ?)", (patient, split))


@pytest.mark.parametrize(
    ("rule", "number"), [("auto", 2), ("file", 2), ("folder", 2), ("folder:2", 1), ("name", 1)]
)
@pytest.mark.parametrize("split", ["train", "held-out"])
def test_patients_merged_by_file_name_are_separated(
    site: Path, ecgfl: Ecgfl, folders: Any, listed: Any, rule: str, number: int, split: str
) -> None:
    """A patient used for training stays in training."""
    root = folders({"P000/ecg": 1, "P001/ecg": 2})
    assert ecgfl("ingest", root).code == 0
    merge(site, pseudonym(site, "ecg"), split)
    assert ecgfl("ingest", root, "--patient", rule, "--json").json["outcomes"] == {"updated": 2}
    assert patients(listed) == number
    assert pseudonym(site, "ecg") not in {row["patient"] for row in listed()}
    assert {row["split"] for row in listed()} == {split}
    assert ecgfl("ingest", root, "--patient", rule, "--json").json["outcomes"] == {"unchanged": 2}


@pytest.mark.parametrize(
    ("field", "taken"),
    [("X X X Anonymous", "X X X Anonymous"), ("Anonymous", "Anonymous"), ("ANON F X Test", "ANON")],
)
def test_patients_merged_by_placeholder_are_separated(
    site: Path, ecgfl: Ecgfl, of_patient: Any, listed: Any, field: str, taken: str
) -> None:
    files = [of_patient(1, field), of_patient(2, field)]
    assert ecgfl("ingest", *files).code == 0
    merge(site, pseudonym(site, taken))
    ran = ecgfl("ingest", *files, "--json")
    assert ran.json["outcomes"] == {"updated": 2}
    assert codes(ran) == [[], []]
    assert patients(listed) == 2
    assert {row["split"] for row in listed()} == {"train"}


def test_a_name_is_no_stated_identifier(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    of_patient: Any,
    folders: Any,
    listed: Any,
) -> None:
    """A file called 4711.csv is not of the patient 4711 of another file."""
    assert ecgfl("ingest", of_patient(1, "4711 F X X")).code == 0
    assert ecgfl("ingest", folders({"a/4711": 2, "b/4711": 3}), "--patient", "name").code == 0
    assert patients(listed) == 2


def test_a_new_recording_follows_the_split_of_its_name(
    site: Path, ecgfl: Ecgfl, folders: Any, listed: Any
) -> None:
    """An earlier version knew P000 by the name of its file."""
    assert ecgfl("ingest", folders({"day1/P000": 1})).code == 0
    merge(site, pseudonym(site, "P000"), "held-out")
    assert ecgfl("ingest", folders({"day2/P000": 2}) / "day2", "--patient", "name").code == 0
    assert [row["split"] for row in listed()] == ["held-out", "held-out"]


def test_equal_names_in_two_calls_are_told(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    folders: Any,
    listed: Any,
) -> None:
    root = folders({"P000/holter7": 1, "P001/holter7": 2, "P002/other": 3})
    assert unclear(ecgfl("ingest", root / "P000", "--json")) == 0
    assert unclear(ecgfl("ingest", root / "P001", "--json")) == 1
    assert unclear(ecgfl("ingest", root / "P002", "--json")) == 0
    assert patients(listed) == 3
    for folder in ("P000", "P001"):
        assert unclear(ecgfl("ingest", root / folder, "--patient", "folder", "--json")) == 0
    assert patients(listed) == 3


def test_days_of_one_folder_in_two_calls_are_told(site: Path, ecgfl: Ecgfl, folders: Any) -> None:  # noqa: ARG001
    root = folders({"P000/day1": 1})
    assert unclear(ecgfl("ingest", root / "P000/day1.csv", "--json")) == 0
    (root / "P000/notes.txt").write_text("nothing about a signal")
    assert unclear(ecgfl("ingest", root / "P000/day1.csv", "--json")) == 0
    folders({"P000/day2": 2})
    assert unclear(ecgfl("ingest", root / "P000/day2.csv", "--json")) == 1


def test_numbers_may_say_who(site: Path, ecgfl: Ecgfl, folders: Any, listed: Any) -> None:  # noqa: ARG001
    ran = ecgfl("ingest", folders({"all/1": 1, "all/2": 2, "all/03": 3}), "--json")
    assert (patients(listed), unclear(ran)) == (3, 0)


@pytest.mark.parametrize("name", ["day1", "ecg_2", "20240131", "2024-01-31_0800", "Holter"])
def test_what_or_when_does_not_say_who(site: Path, ecgfl: Ecgfl, folders: Any, name: str) -> None:  # noqa: ARG001
    assert unclear(ecgfl("ingest", folders({f"all/{name}": 1, "all/rest": 2}), "--json")) == 2
