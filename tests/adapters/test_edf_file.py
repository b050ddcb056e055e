"""Reading EDF and BDF files: leads, units, gaps, labels and patients."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import edfio
import numpy as np
import pyedflib
import pytest
from ecgfl_adapters.edf.adapter import EdfAdapter
from ecgfl_adapters.errors import (
    LabelsUnreadable,
    LeadMissing,
    UnitUnknown,
)
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Recording
from edf_files import edf_signal, with_stamps, without_continuity, write_edf_file

ADAPTER = EdfAdapter()
DEFAULT = ReadOptions()
MakeFile = Callable[[int, bytes], Path]
# Offsets in a header of three signals (two leads and the annotations).
VERSION, PATIENT, HEADER_SIZE, RESERVED, RECORDS, DURATION, SIGNALS = 0, 8, 184, 192, 236, 244, 252
LABEL, DIMENSION, PHYSICAL_MIN, PHYSICAL_MAX, DIGITAL_MIN = (
    256,
    256 + 96 * 3,
    256 + 104 * 3,
    256 + 112 * 3,
    256 + 120 * 3,
)


def test_the_wearables_file_is_read_as_pyedflib_reads_it(real_data: Path) -> None:
    path = real_data / "edf" / "vital_sqi_example.edf"
    found = ADAPTER.read(path, DEFAULT)
    assert (found.fs, found.length, [lead.name for lead in found.leads]) == (
        256.0,
        265_536,
        ["ECG Channel 1", "ECG Channel 2"],
    )
    assert (found.labels, found.source.patient) == (None, "")
    assert found.source.start == datetime(2019, 1, 22, 1, 4, 13)
    with pyedflib.EdfReader(str(path)) as reader:
        for index, lead in enumerate(found.leads):
            np.testing.assert_allclose(
                lead.samples, reader.readSignal(index) / 1000, rtol=1e-6, atol=1e-6
            )


def test_reads_degree_sign_that_pyedflib_refuses(real_data: Path) -> None:
    path = real_data / "edf" / "wfdbpy_test_generator_2.edf"
    found = ADAPTER.read(path, DEFAULT)
    assert (found.fs, found.length, [lead.name for lead in found.leads]) == (
        200.0,
        120_000,
        ["ECG"],
    )
    assert found.leads[0].step_mv == pytest.approx(2000.0002 / 65535 / 1000, rel=1e-4)
    assert 0.05 < np.asarray(found.leads[0].samples).max() < 0.1


def test_channels_with_one_label_get_unique_names(tmp_path: Path) -> None:
    path = write_edf_file(
        tmp_path / "x.edf",
        [edf_signal("ECG Channel"), edf_signal("ECG Channel"), edf_signal("Resp")],
    )
    assert [lead.name for lead in ADAPTER.read(path, DEFAULT).leads] == [
        "ECG Channel",
        "ECG Channel#2",
    ]
    assert (
        ADAPTER.read(path, ReadOptions(leads=("ecg channel#2",))).leads[0].name == "ECG Channel#2"
    )


@pytest.mark.parametrize(
    "label",
    ["ECG", "EKG", "ekg 1", "MLII", "ML2", "MLIII", "I", "ii", "aVR", "V1", "V9", "MV1", "V3R",
     "ECG I", "ECG1-ECG2", "ECG LA-RA",
     "ECG Channel", "Lead II", "CM5", "DII", "D1", "EEG EKG1"],
)  # fmt: skip
def test_usual_labels_are_known_as_ecg(tmp_path: Path, label: str) -> None:
    assert (
        ADAPTER.read(
            write_edf_file(tmp_path / "x.edf", [edf_signal("SpO2"), edf_signal(label)]), DEFAULT
        )
        .leads[0]
        .name
        == label
    )


def test_a_file_without_a_known_lead_lists_its_channels(tmp_path: Path) -> None:
    path = write_edf_file(
        tmp_path / "x.edf", [edf_signal("Chan 1"), edf_signal("EEG C3"), edf_signal("ECG HR")]
    )
    with pytest.raises(LeadMissing, match=r"channels: 'Chan 1', 'EEG C3', 'ECG HR'.*--lead NAME"):
        ADAPTER.read(path, DEFAULT)
    assert ADAPTER.read(path, ReadOptions(leads=("Chan 1",))).leads[0].name == "Chan 1"


@pytest.mark.parametrize(
    ("unit", "factor"),
    [(b"uV", 1e-3), (b"UV", 1e-3), (b"mV", 1.0), (b"MV", 1.0), (b"V", 1000.0), (b"nV", 1e-6),
     (b"\xb5V", 1e-3),
     (b"\xc2\xb5V", 1e-3), (b"\xce\xbcV", 1e-3), (b"microV", 1e-3)],
)  # fmt: skip
def test_every_spelling_of_a_voltage_is_understood(
    edf_field: MakeFile, recording: Recording, unit: bytes, factor: float
) -> None:
    found = ADAPTER.read(edf_field(DIMENSION, unit.ljust(8) * 2), DEFAULT)
    expected = recording.leads[0].samples * 1000 * factor
    np.testing.assert_allclose(found.leads[0].samples, expected, rtol=1e-4, atol=1e-6 * factor)


@pytest.mark.parametrize("unit", [b"", b"mmHg", b"bits"])
def test_an_unknown_unit_is_refused_unless_given(edf_field: MakeFile, unit: bytes) -> None:
    path = edf_field(DIMENSION, unit.ljust(8) * 2)
    with pytest.raises(UnitUnknown, match=f"'MLII' is ('{unit.decode()}'|blank).*--units"):
        ADAPTER.read(path, DEFAULT)
    assert ADAPTER.read(path, ReadOptions(units="uV")).leads[0].step_mv == pytest.approx(0.005)
    assert ADAPTER.read(path, ReadOptions(units="adc:100")).leads[0].step_mv == pytest.approx(0.01)


def test_refuses_invalid_units_option(edf_field: MakeFile) -> None:
    with pytest.raises(UnitUnknown, match=r"--units 'furlong' is no unit.*adc:GAIN"):
        ADAPTER.read(edf_field(DIMENSION, b" " * 16), ReadOptions(units="furlong"))


def test_edf_plus_d_gaps_are_missing_samples(tmp_path: Path) -> None:
    annotations = [
        edfio.EdfAnnotation(1.5, None, "Normal beat"),
        edfio.EdfAnnotation(9.5, None, "PVC"),
    ]
    path = without_continuity(
        write_edf_file(tmp_path / "x.edf", [edf_signal("ECG", seconds=4)], annotations),
        [0, 1, 8, 9],
    )
    found = ADAPTER.read(path, DEFAULT)
    assert (found.length, found.gaps()) == (1000, ((200, 800),))
    np.testing.assert_allclose(
        found.leads[0].samples[800:], np.sin(np.arange(200, 400) / 9), atol=1e-4
    )
    assert found.labels == (BeatLabel(150, "N"), BeatLabel(950, "V"))


def test_reads_gap_in_file_declared_continuous(tmp_path: Path) -> None:
    path = without_continuity(
        write_edf_file(tmp_path / "x.edf", [edf_signal("ECG", seconds=4)], []), [0, 1, 8, 9]
    )
    path.write_bytes(path.read_bytes().replace(b"EDF+D", b"EDF+C"))
    assert ADAPTER.read(path, DEFAULT).gaps() == ((200, 800),)


def test_leaves_out_channels_of_another_rate(tmp_path: Path) -> None:
    path = write_edf_file(
        tmp_path / "x.edf",
        [edf_signal("ECG II"), edf_signal("ECG V5", fs=50.0), edf_signal("ECG V6")],
    )
    found = ADAPTER.read(path, DEFAULT)
    assert [lead.name for lead in found.leads] == ["ECG II", "ECG V6"]
    assert [remark.code for remark in found.remarks] == ["leads-left-out"]
    with pytest.raises(LeadMissing, match=r"differ in rate: ECG II 100 Hz, ECG V5 50 Hz"):
        ADAPTER.read(path, ReadOptions(leads=("ECG II", "ECG V5")))


def test_annotations_that_name_no_beat_are_no_labels(tmp_path: Path) -> None:
    notes = [
        edfio.EdfAnnotation(1.0, None, "Electrode removed"),
        edfio.EdfAnnotation(2.0, None, "+"),
    ]
    assert (
        ADAPTER.read(write_edf_file(tmp_path / "x.edf", [edf_signal("ECG")], notes), DEFAULT).labels
        is None
    )


def test_reads_annotation_in_latin_1(tmp_path: Path) -> None:
    notes = [edfio.EdfAnnotation(1.0, None, "Aenderung"), edfio.EdfAnnotation(2.0, None, "VES")]
    path = write_edf_file(tmp_path / "x.edf", [edf_signal("ECG")], notes)
    path.write_bytes(path.read_bytes().replace(b"Ae", b"\xc4e"))
    assert ADAPTER.read(path, DEFAULT).labels == (BeatLabel(200, "V"),)


def test_labels_may_come_from_a_file(edf_field: MakeFile, tmp_path: Path) -> None:
    (tmp_path / "beats.csv").write_text("sample,symbol\n9,V\n5,N\n")
    path = edf_field(PATIENT, b"X")
    assert ADAPTER.read(path, ReadOptions(labels=str(tmp_path / "beats.csv"))).labels == (
        BeatLabel(5, "N"),
        BeatLabel(9, "V"),
    )
    assert ADAPTER.read(path, ReadOptions(labels="none")).labels is None
    with pytest.raises(LabelsUnreadable, match=r"'atr' were asked for"):
        ADAPTER.read(path, ReadOptions(labels="atr"))


def test_patient_comes_from_header_unless_anonymous(tmp_path: Path) -> None:
    path = tmp_path / "x.edf"
    person = edfio.Patient(
        code="MCH-0234567", sex="F", birthdate=date(1951, 5, 2), name="Haagse_Harry"
    )
    edfio.Edf([edf_signal("ECG")], patient=person).write(path)
    source = ADAPTER.read(path, DEFAULT).source
    assert source.identifiers["patient"] == "MCH-0234567 F 02-MAY-1951 Haagse_Harry"
    assert (source.patient, source.person, source.sex) == (
        "MCH-0234567",
        "haagse harry 1951-05-02",
        "F",
    )
    assert (
        ADAPTER.read(
            write_edf_file(tmp_path / "y.edf", [edf_signal("ECG")]), DEFAULT
        ).source.patient
        == ""
    )


def test_bdf_is_read_in_its_24_bits(tmp_path: Path) -> None:
    wave = np.sin(np.arange(1000) / 9)
    edfio.Bdf(
        [edfio.BdfSignal(wave, 100, label="ECG", physical_dimension="mV", physical_range=(-2, 2))],
        annotations=[edfio.EdfAnnotation(1.25, None, "PVC")],
    ).write(tmp_path / "x.bdf")
    assert ADAPTER.recognises(tmp_path / "x.bdf")
    found = ADAPTER.read(tmp_path / "x.bdf", DEFAULT)
    np.testing.assert_allclose(found.leads[0].samples, wave, atol=1e-6)
    assert found.labels == (BeatLabel(125, "V"),)


def test_a_file_of_annotations_alone_is_for_labels(tmp_path: Path) -> None:
    notes = [
        edfio.EdfAnnotation(1.5, None, "N"),
        edfio.EdfAnnotation(2.5, None, "PVC"),
        edfio.EdfAnnotation(3, None, "PVC?"),
    ]
    marks = write_edf_file(tmp_path / "marks.edf", [], notes)
    with pytest.raises(LeadMissing, match=r"annotations and no signal.*--labels FILE"):
        ADAPTER.read(marks, DEFAULT)
    path = write_edf_file(tmp_path / "x.edf", [edf_signal("ECG")])
    found = ADAPTER.read(path, ReadOptions(labels=str(marks)))
    assert found.labels == (BeatLabel(150, "N"), BeatLabel(250, "V"))
    found = ADAPTER.read(path, ReadOptions(labels=str(marks), vocabulary={"pvc?": "V"}))
    assert found.labels == (BeatLabel(150, "N"), BeatLabel(250, "V"), BeatLabel(300, "V"))


def test_a_channel_that_the_site_names_is_ecg(tmp_path: Path) -> None:
    path = write_edf_file(
        tmp_path / "x.edf", [edf_signal("Kanal 1"), edf_signal("Kanal 2"), edf_signal("Atmung")]
    )
    assert [
        lead.name for lead in ADAPTER.read(path, ReadOptions(ecg_channels=("kanal *",))).leads
    ] == ["Kanal 1", "Kanal 2"]


def test_age_is_that_at_the_recording(tmp_path: Path) -> None:
    person = edfio.Patient(code="X1", sex="M", birthdate=date(1951, 5, 2), name="Harry")
    for day, age in ((date(2020, 5, 1), 68), (date(2020, 5, 2), 69)):
        path = tmp_path / f"{day}.edf"
        edfio.Edf(
            [edf_signal("ECG")], patient=person, recording=edfio.Recording(startdate=day)
        ).write(path)
        assert ADAPTER.read(path, DEFAULT).source.age == age


def test_slices_of_lead_equal_whole_lead(tmp_path: Path) -> None:
    path = without_continuity(
        write_edf_file(tmp_path / "x.edf", [edf_signal("ECG", seconds=4)], []), [0, 1, 8, 9]
    )
    samples = ADAPTER.read(path, DEFAULT).leads[0].samples
    whole = np.asarray(samples)
    assert np.isnan(whole).any()
    rng = np.random.default_rng(3)
    for start, stop in rng.integers(0, whole.size, (50, 2)).tolist():
        np.testing.assert_array_equal(samples[start:stop], whole[start:stop])
        np.testing.assert_array_equal(
            samples[start :: 1 + stop // 9], whole[start :: 1 + stop // 9]
        )
    places = rng.integers(-whole.size, whole.size, (20, 30))
    np.testing.assert_array_equal(samples[places], whole[places])


def test_labels_stay_on_beats_when_clocks_drift(tmp_path: Path) -> None:
    """100 data records of 100 samples, each half a millisecond late: at the end 5 samples by the
    stamps, none by the samples.
    """
    found = ADAPTER.read(with_stamps(tmp_path, 1.0005, 100, {0: "normal beat", 99: "PVC"}), DEFAULT)
    assert found.gaps() == ()
    assert found.labels == (BeatLabel(50, "N"), BeatLabel(9950, "V"))
