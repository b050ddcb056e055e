"""Reading WFDB records: signals, checksums, units, labels and patients."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb
from ecgfl_adapters.errors import (
    FileMissing,
    FileUnreadable,
    LabelsUnreadable,
    LeadMissing,
    RateUnknown,
    UnitUnknown,
)
from ecgfl_adapters.protocol import Adapter, ReadOptions
from ecgfl_adapters.recording import BeatLabel, Lead, Recording
from ecgfl_adapters.wfdb.adapter import WfdbAdapter

ADAPTER = WfdbAdapter()
DEFAULT = ReadOptions()
AAMI = {"N": "NLRBejn", "S": "AaJS", "V": "VEr", "F": "F", "Q": "/fQ?"}


@pytest.fixture
def record(tmp_path: Path, recording: Recording) -> Path:
    return ADAPTER.write(recording, tmp_path)[0]


def _edit(header: Path, old: str, new: str) -> Path:
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new))
    return header


@pytest.mark.slow
def test_mitdb_records_have_published_beat_counts(real_data: Path) -> None:
    counts: Counter[str] = Counter()
    headers = sorted((real_data / "mitdb").glob("*.hea"))
    for header in headers:
        found = ADAPTER.read(header, DEFAULT)
        assert (found.fs, found.length, len(found.leads)) == (360.0, 650_000, 2)
        counts.update(label.symbol for label in found.labels or ())
    assert len(headers) == 48
    assert {
        group: sum(counts[symbol] for symbol in symbols) for group, symbols in AAMI.items()
    } == {
        "N": 90_631,
        "S": 2_781,
        "V": 7_236,
        "F": 803,
        "Q": 8_043,
    }


@pytest.mark.slow
def test_every_shared_signal_matches_the_checksum_of_its_header(real_data: Path) -> None:
    headers = sorted((real_data / "svdb").glob("*.hea")) + sorted(
        (real_data / "nstdb").glob("*.hea")
    )
    for header in headers:  # half of svdb is uncalibrated: a gain is given for those
        assert len(ADAPTER.read(header, ReadOptions(units="adc:200")).leads) == 2


def test_record_is_named_by_header_signal_file_or_stem(
    real_data: Path,
) -> None:
    for name in ("100.hea", "100.dat", "100"):
        path = real_data / "mitdb" / name
        assert ADAPTER.recognises(path)
        assert ADAPTER.read(path, DEFAULT).name == "100"
    assert not ADAPTER.recognises(real_data / "mitdb" / "100.atr")
    assert isinstance(ADAPTER, Adapter)


def test_millivolts_agree_with_wfdb(real_data: Path) -> None:
    found = ADAPTER.read(real_data / "mitdb" / "114.hea", DEFAULT)
    expected = wfdb.rdrecord(str(real_data / "mitdb" / "114")).p_signal
    assert [lead.name for lead in found.leads] == ["V5", "MLII"]
    assert [lead.step_mv for lead in found.leads] == [0.005, 0.005]
    for column, lead in enumerate(found.leads):
        assert lead.samples.dtype == np.float32
        np.testing.assert_allclose(lead.samples, expected[:, column], atol=1e-6)


def test_format_16_with_a_baseline_is_read(real_data: Path) -> None:
    found = ADAPTER.read(real_data / "nstdb" / "118e06.hea", DEFAULT)
    expected = wfdb.rdrecord(
        str(real_data / "nstdb" / "118e06"), channels=[0], sampto=2000
    ).p_signal[:, 0]
    np.testing.assert_allclose(found.leads[0].samples[:2000], expected, atol=1e-6)


def test_flac_is_read(tmp_path: Path) -> None:
    counts = np.random.default_rng(2).integers(-900, 900, size=(3000, 2))
    wfdb.wrsamp("flac", 250, ["mV", "mV"], ["I", "II"], d_signal=counts, fmt=["516", "516"],
                adc_gain=[200.0, 200.0],
                baseline=[0, 0], write_dir=str(tmp_path))  # fmt: skip
    found = ADAPTER.read(tmp_path / "flac.hea", DEFAULT)
    np.testing.assert_allclose(found.leads[1].samples, counts[:, 1] / 200, atol=1e-6)


def test_comments_are_identifiers_and_record_name_is_patient(real_data: Path) -> None:
    source = ADAPTER.read(real_data / "mitdb" / "100.hea", DEFAULT).source
    assert source.patient == ""
    assert source.identifiers["comment 1"] == "69 M 1085 1629 x1"


def test_a_label_beyond_the_end_of_the_signal_is_kept(real_data: Path) -> None:
    found = ADAPTER.read(real_data / "svdb" / "860.hea", ReadOptions(units="adc:200"))
    assert found.labels is not None
    assert found.labels[-1].sample >= found.length


def test_labels_are_chosen_by_annotator_by_path_or_not_at_all(
    real_data: Path, record: Path, tmp_path: Path
) -> None:
    atr = real_data / "mitdb" / "100.atr"
    shutil.copy(atr, tmp_path / "small.qrs")
    whole = ADAPTER.read(real_data / "mitdb" / "100.hea", DEFAULT).labels
    # 100.atr counts at 360 Hz and has no header of its own here: its numbers are taken as they are.
    assert ADAPTER.read(record, ReadOptions(labels="qrs")).labels == whole
    assert ADAPTER.read(record, ReadOptions(labels=str(tmp_path / "small.qrs"))).labels == whole
    assert ADAPTER.read(record, ReadOptions(labels="none")).labels is None


def test_converts_labels_from_their_own_rate(record: Path, tmp_path: Path) -> None:
    wfdb.wrann(
        "small", "fast", np.array([500, 1000]), symbol=["N", "V"], fs=500, write_dir=str(tmp_path)
    )
    assert ADAPTER.read(record, ReadOptions(labels="fast")).labels == (
        BeatLabel(250, "N"),
        BeatLabel(500, "V"),
    )


def test_no_label_file_is_not_the_same_as_no_labels(tmp_path: Path, recording: Recording) -> None:
    assert (
        ADAPTER.read(ADAPTER.write(replace(recording, labels=None), tmp_path)[0], DEFAULT).labels
        is None
    )
    assert (
        ADAPTER.read(ADAPTER.write(replace(recording, labels=()), tmp_path)[0], DEFAULT).labels
        == ()
    )


def test_what_is_written_is_read_back_and_opens_in_wfdb(record: Path, recording: Recording) -> None:
    found = ADAPTER.read(record, DEFAULT)
    assert (found.fs, found.labels) == (recording.fs, recording.labels)
    for read, written in zip(found.leads, recording.leads, strict=True):
        assert (read.name, read.step_mv) == (written.name, pytest.approx(written.step_mv))
        np.testing.assert_array_equal(read.samples, written.samples)
    assert wfdb.rdrecord(str(record.with_suffix(""))).sig_name == ["MLII", "V5"]


def test_missing_samples_survive_writing(tmp_path: Path, recording: Recording) -> None:
    samples = recording.leads[0].samples.copy()
    samples[100:200] = np.nan
    gappy = replace(
        recording, leads=(replace(recording.leads[0], samples=samples), recording.leads[1])
    )
    found = ADAPTER.read(ADAPTER.write(gappy, tmp_path)[0], DEFAULT)
    np.testing.assert_array_equal(found.leads[0].samples, samples)


@pytest.mark.parametrize(("low", "high"), [(-400.0, 400.0), (4000.0, 4001.0)])
def test_writes_wide_range_with_finest_step_of_16_bits(
    tmp_path: Path, recording: Recording, low: float, high: float
) -> None:
    samples = np.linspace(low, high, 2575, dtype=np.float32)
    wide = replace(recording, leads=(Lead("I", samples, 0.0005),))
    lead = ADAPTER.read(ADAPTER.write(wide, tmp_path)[0], DEFAULT).leads[0]
    assert lead.step_mv == pytest.approx(max(0.0005, (high - low) / 65533))
    assert np.abs(lead.samples - samples).max() <= lead.step_mv


def test_writes_underscores_for_characters_wfdb_refuses(
    tmp_path: Path, recording: Recording
) -> None:
    assert ADAPTER.write(replace(recording, name="ward 3.b"), tmp_path)[0].name == "ward_3_b.hea"


def test_segments_are_put_on_one_axis_with_their_gap(tmp_path: Path, recording: Recording) -> None:
    ADAPTER.write(replace(recording, name="a", labels=None), tmp_path)
    ADAPTER.write(replace(recording, name="b", labels=None), tmp_path)
    (tmp_path / "all.hea").write_text("all/3 2 250 5650\na 2575\n~ 500\nb 2575\n")
    found = ADAPTER.read(tmp_path / "all.hea", ReadOptions(leads=("V5",)))
    assert (found.length, found.gaps()) == (5650, ((2575, 3075),))
    np.testing.assert_array_equal(found.leads[0].samples[3075:], recording.leads[1].samples)


def test_signals_that_are_no_voltage_are_left_out(record: Path) -> None:
    lines = record.read_text().splitlines()
    lines[2] = lines[2].replace("/mV", "/mmHg")
    record.write_text("\n".join(lines) + "\n")
    assert [lead.name for lead in ADAPTER.read(record, DEFAULT).leads] == ["MLII"]


def test_a_micro_sign_in_the_unit_is_understood(record: Path) -> None:
    text = record.read_text().replace("/mV", "/µV")
    record.write_text(text, encoding="utf-8")
    assert ADAPTER.read(record, DEFAULT).leads[0].step_mv == pytest.approx(5e-6)


def test_a_missing_header_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"nix\.hea: cannot be opened"):
        ADAPTER.read(tmp_path / "nix.hea", DEFAULT)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "header file is empty"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "not a text"),
        (b"hello world\n", "'hello world'"),
        (b"r 2 250 1000\nr.dat 16 200\n", "announces 2 lines, but 1 follow"),
        (b"r 1 250 1000\n../r.dat 16 200\n", r"signal file '\.\./r\.dat'"),
        (b"r 1 250 1000\nhttp://evil/r.dat 16 200\n", "signal file 'http://evil/r.dat'"),
        (b"r 1 250 1000\nr.dat 16 two\n", "gain 'two'"),
        (b"r 1 250 1000\nr.dat 999 200\n", "unknown format 999"),
    ],
)
def test_refuses_broken_header_with_its_content(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "r.hea").write_bytes(content)
    (tmp_path / "r.dat").write_bytes(bytes(2000))
    with pytest.raises(FileUnreadable, match=said):
        ADAPTER.read(tmp_path / "r.hea", DEFAULT)


def test_refuses_cut_signal_file_with_sizes(record: Path) -> None:
    dat = record.with_suffix(".dat")
    dat.write_bytes(dat.read_bytes()[:5000])
    with pytest.raises(
        FileUnreadable,
        match=r"small\.dat: 5000 bytes.*2575 samples x 2 signals.*10300 bytes.*copy it again",
    ):
        ADAPTER.read(record, DEFAULT)


def test_refuses_cut_record_in_format_212(real_data: Path, tmp_path: Path) -> None:
    shutil.copy(real_data / "mitdb" / "100.hea", tmp_path / "100.hea")
    (tmp_path / "100.dat").write_bytes((real_data / "mitdb" / "100.dat").read_bytes()[:-3])
    with pytest.raises(FileUnreadable, match=r"1949997 bytes.*1950000 bytes"):
        ADAPTER.read(tmp_path / "100.hea", DEFAULT)


@pytest.mark.parametrize("position", [0, 10_299])
def test_refuses_changed_sample_of_either_lead(record: Path, position: int) -> None:
    dat = record.with_suffix(".dat")
    raw = bytearray(dat.read_bytes())
    raw[position] ^= 1
    dat.write_bytes(bytes(raw))
    with pytest.raises(
        FileUnreadable,
        match=r"small\.hea: the checksum of signal [12] is -?\d+, but the header states.*--force",
    ):
        ADAPTER.read(record, DEFAULT)


def test_a_missing_signal_file_is_named(record: Path) -> None:
    record.with_suffix(".dat").unlink()
    with pytest.raises(
        FileMissing, match=r"small\.dat: the signal file that small\.hea names is not there"
    ):
        ADAPTER.read(record, DEFAULT)


def test_uncalibrated_signal_needs_gain_option(real_data: Path) -> None:
    path = real_data / "nstdb" / "bw.hea"
    with pytest.raises(UnitUnknown, match=r"'noise1' has the gain 0.*--units adc:200"):
        ADAPTER.read(path, DEFAULT)
    with pytest.raises(UnitUnknown):
        ADAPTER.read(path, ReadOptions(units="mV"))
    assert ADAPTER.read(path, ReadOptions(units="adc:100")).leads[0].step_mv == pytest.approx(0.01)


def test_a_unit_that_is_no_voltage_is_refused(record: Path) -> None:
    _edit(record, "/mV", "/mmHg")
    with pytest.raises(UnitUnknown, match=r"'MLII' is in 'mmHg'.*--units"):
        ADAPTER.read(record, DEFAULT)
    with pytest.raises(UnitUnknown, match=r"'V5' is in 'mmHg'.*--units"):
        ADAPTER.read(record, ReadOptions(leads=("V5",)))


def test_header_without_rate_needs_rate_option(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text("r 1\nr.dat 16 200 16 0\n")
    (tmp_path / "r.dat").write_bytes(bytes(2000))
    with pytest.raises(RateUnknown, match=r"--fs HZ"):
        ADAPTER.read(tmp_path / "r.hea", DEFAULT)
    assert ADAPTER.read(tmp_path / "r.hea", ReadOptions(fs=125)).seconds == 8.0


def test_missing_lead_error_lists_channels(record: Path) -> None:
    assert [lead.name for lead in ADAPTER.read(record, ReadOptions(leads=("v5",))).leads] == ["V5"]
    with pytest.raises(
        LeadMissing, match=r"lead 'V1' is not in the file \(channels: 'MLII', 'V5'\).*--lead NAME"
    ):
        ADAPTER.read(record, ReadOptions(leads=("V1",)))


def test_labels_that_were_asked_for_must_be_there(record: Path) -> None:
    with pytest.raises(
        LabelsUnreadable,
        match=r"'qrs' were asked for, but neither small\.qrs beside it nor .*--labels FILE",
    ):
        ADAPTER.read(record, ReadOptions(labels="qrs"))


@pytest.mark.parametrize("content", [b"", b"\x12\x04\x00", b"hello world!"])
def test_refuses_damaged_annotation_file(record: Path, content: bytes) -> None:
    record.with_suffix(".atr").write_bytes(content)
    with pytest.raises(
        LabelsUnreadable,
        match=r"small\.atr: WFDB annotation file of \d+ bytes has no end-of-file mark.*none",
    ):
        ADAPTER.read(record, DEFAULT)
