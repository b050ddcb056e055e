"""WFDB records from converters, Windows shares and content stores."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters import find_recordings
from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import AdapterError, FileMissing, FileUnreadable, LabelsUnreadable
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Recording
from ecgfl_adapters.search import why_skipped
from ecgfl_adapters.wfdb.adapter import WfdbAdapter
from ecgfl_adapters.wfdb.writer import write_annotations

WAVE = (np.sin(np.arange(1000) / 9) * 400).astype("<i2")
CHECKSUM = int(WAVE.sum(dtype=np.int64)) & 0xFFFF
SIGNAL = f"r.dat 16 200(0)/mV 16 0 0 {CHECKSUM} 0 II"


def _record(
    folder: Path,
    header: str | bytes = f"r 1 250 1000\n{SIGNAL}\n",
    *,
    name: str = "r.hea",
    data: str = "r.dat",
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / data).write_bytes(WAVE.tobytes())
    (folder / name).write_bytes(header if isinstance(header, bytes) else header.encode())
    return folder / name


def _assert_read(path: Path) -> Recording:
    found = read(path)
    np.testing.assert_allclose(found.leads[0].samples, WAVE / 200, atol=1e-6)
    assert (found.fs, [lead.name for lead in found.leads]) == (250.0, ["II"])
    return found


@pytest.mark.parametrize(
    "record_line",
    [
        "r 1 250 1000 10:20:00 12/03/199",
        "r 1 250 1000 2014-05-08 05:05:15",
        "r 1 250 1000 05-May-2020 09:49:17",
        "r 1 250 1000 24:00:00 05/02/89",
        "r 1 250 1000 2006",
        "r 1 250 1000 unknown",
        "r 1 250 10:20:00 12/03/1999",
        "r 1 250",
        "r 1 250 0",
        "r 1 250 1000.0",
        "r\t1  250 \t 1000 ",
        "r.mat 1 250 1000",
        "r 1 250/250(0) 1000",
        "r 1 250(0) 1000",
    ],
)
def test_record_line(tmp_path: Path, record_line: str) -> None:
    _assert_read(_record(tmp_path, f"{record_line}\n{SIGNAL}\n"))


@pytest.mark.parametrize(
    ("record_line", "said"),
    [
        ("r 1 10:20:00", r"field 3 of the record line .* is '10:20:00', not a sampling rate"),
        ("r 1 250 many", r"field 4 of the record line .* is 'many', not a number of samples"),
        ("r one 250 1000", r"should be 'NAME SIGNALS RATE SAMPLES'"),
        ("r 1 250 1001", r"2000 bytes, but r\.hea states 1001 samples .* which is 2002 bytes"),
    ],
)
def test_refuses_other_record_line(tmp_path: Path, record_line: str, said: str) -> None:
    with pytest.raises(FileUnreadable, match=said):
        read(_record(tmp_path, f"{record_line}\n{SIGNAL}\n"))


@pytest.mark.parametrize(
    "signal",
    [
        "r.dat 16 200/mV 16 0 0 - 0 II",
        "r.dat 16 200/mV 16 0 II",
        "r.dat 16 +200(+0)/mV 16.0 0 0 0 0 II",
        f"r.dat 16 200.0(0)/mV 16 0 0 {CHECKSUM - 0x10000} 0 II",
    ],
)
def test_signal_line(tmp_path: Path, signal: str) -> None:
    _assert_read(_record(tmp_path, f"r 1 250 1000\n{signal}\n"))


@pytest.mark.parametrize("checksum", [0, -1, 65535])
def test_placeholder_checksum_is_a_warning(tmp_path: Path, checksum: int) -> None:
    header = f"r 1 250 1000\n{SIGNAL.replace(str(CHECKSUM), str(checksum))}\n"
    (remark,) = _assert_read(_record(tmp_path, header)).remarks
    assert remark.code == "checksum-placeholder"


def test_wrong_checksum_is_no_placeholder(tmp_path: Path) -> None:
    path = _record(tmp_path, f"r 1 250 1000\n{SIGNAL.replace(str(CHECKSUM), '7')}\n")
    with pytest.raises(FileUnreadable, match=r"the header states 7.*--force"):
        read(path)
    assert [remark.code for remark in read(path, options=ReadOptions(force=True)).remarks] == [
        "checksum"
    ]


def test_wrong_checksum_beside_a_right_one_is_refused(tmp_path: Path) -> None:
    lines = [
        f"{name}.dat 16 200/mV 16 0 0 {checksum} 0 {name}"
        for name, checksum in (("I", 0), ("II", CHECKSUM))
    ]
    path = _record(tmp_path, "\n".join(["r 2 250 1000", *lines]), data="I.dat")
    (tmp_path / "II.dat").write_bytes(WAVE.tobytes())
    with pytest.raises(FileUnreadable, match="checksum of signal 1"):
        read(path)


def test_length_is_that_of_the_files(tmp_path: Path) -> None:
    lines = [f"{name}.dat 16 200/mV 16 0 0 0 0 {name}" for name in ("I", "II")]
    path = _record(tmp_path, "\n".join(["r 2 250 0", *lines]), data="I.dat")
    (tmp_path / "II.dat").write_bytes(WAVE.tobytes())
    assert read(path).length == 1000
    (tmp_path / "II.dat").write_bytes(WAVE.tobytes()[:-2])
    with pytest.raises(FileUnreadable, match=r"I\.dat 1000, II\.dat 999.*fourth field"):
        read(path)


def test_reads_a_latin_1_header(tmp_path: Path) -> None:
    found = _assert_read(
        _record(tmp_path, f"r 1 250 1000\n{SIGNAL}\n# Müller… Zürich\n".encode("cp1252"))
    )
    assert found.source.identifiers == {"comment 1": "Müller\x85 Zürich"}
    micro = f"r 1 250 1000\n{SIGNAL.replace('200(0)/mV', '0.2(0)/µV')}\n".encode("latin-1")
    _assert_read(_record(tmp_path, micro))


@pytest.mark.parametrize(
    ("header", "data", "named"),
    [
        ("R.HEA", "R.DAT", "R.DAT"),
        ("R.HEA", "R.DAT", "r.dat"),
        ("r.hea", "r.dat", "R.DAT"),
        ("R.hea", "R.Dat", "r.dat"),
        ("r.HEA", "r.v1.2.DAT", "r.v1.2.dat"),
        ("r.hea", "r.v1.dat", "r.v1.dat"),
    ],
)
def test_reads_names_in_any_case_and_with_dots(
    tmp_path: Path, header: str, data: str, named: str
) -> None:
    path = _record(
        tmp_path, f"r 1 250 1000\n{SIGNAL.replace('r.dat', named)}\n", name=header, data=data
    )
    write_annotations([BeatLabel(77, "V")], tmp_path / f"{path.stem}.atr")
    (tmp_path / f"{path.stem}.atr").rename(tmp_path / f"{path.stem}.ATR")
    assert _assert_read(path).labels == (BeatLabel(77, "V"),)
    assert find_recordings([tmp_path]) == ([path], [])
    assert find_recordings([tmp_path / data]) == ([path], [])
    assert read(tmp_path / data).name == path.stem


@pytest.mark.parametrize("name", ["../r.dat", "..", "a/r.dat", "a\\r.dat", "c:r.dat"])
def test_refuses_a_signal_file_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileUnreadable, match="Only files in the header's own folder are read"):
        read(_record(tmp_path, f"r 1 250 1000\n{SIGNAL.replace('r.dat', name)}\n"))


def _symbolic(link: Path, target: str) -> None:
    link.symlink_to(target)


def _text(link: Path, target: str) -> None:
    """Write the text file that git writes if it cannot make links."""
    link.write_text(target)


@pytest.mark.parametrize("make_link", [_symbolic, _text])
def test_reads_links_into_a_content_store(
    tmp_path: Path, make_link: Callable[[Path, str], None]
) -> None:
    _record(tmp_path / "store", name="MD5E-s75--1.hea", data="MD5E-s2000--2.dat")
    write_annotations([BeatLabel(77, "V")], tmp_path / "store" / "MD5E-s9--3.atr")
    (tmp_path / "data").mkdir()
    for name, target in (
        ("r.hea", "MD5E-s75--1.hea"),
        ("r.dat", "MD5E-s2000--2.dat"),
        ("r.atr", "MD5E-s9--3.atr"),
    ):
        make_link(tmp_path / "data" / name, f"../store/{target}")
    found = _assert_read(tmp_path / "data" / "r.hea")
    assert (found.name, found.labels) == ("r", (BeatLabel(77, "V"),))
    assert find_recordings([tmp_path / "data"], follow_links=True) == (
        [tmp_path / "data" / "r.hea"],
        [],
    )
    assert find_recordings([tmp_path]).recordings == [
        tmp_path / "data" / "r.hea",
        tmp_path / "store" / "MD5E-s75--1.hea",
    ]
    assert find_recordings([tmp_path / "data"]).recordings == []


@pytest.mark.parametrize("make_link", [_symbolic, _text])
@pytest.mark.parametrize(
    ("name", "error"), [("r.hea", FileMissing), ("r.dat", FileMissing), ("r.atr", LabelsUnreadable)]
)
def test_says_where_a_broken_link_points(
    tmp_path: Path, make_link: Callable[[Path, str], None], name: str, error: type[AdapterError]
) -> None:
    path = _record(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    make_link(tmp_path / name, "../.git/annex/objects/gone")
    with pytest.raises(
        error, match=r"broken symbolic link.* \.\./\.git/annex/objects/gone.*datalad get"
    ):
        read(path)


def test_says_why_a_link_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "gone.edf").symlink_to("../store/gone")
    (tmp_path / "data" / "more").symlink_to(_record(tmp_path / "other").parent)
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    found = find_recordings([tmp_path / "data"])
    assert [(path.name, why_skipped(path, [tmp_path / "data"])) for path in found.skipped] == [
        (
            "more",
            f"is reached by a link that leads out of its folder, to {tmp_path / 'other'}. Give "
            "--follow-links if it is to be "
            "read, or name the folder that holds both",
        ),
        (
            "up",
            f"is a symbolic link to the folder {tmp_path}, which is read under another name or "
            "holds this one",
        ),
        ("gone.edf", "is a broken symbolic link: it points to ../store/gone, which does not exist"),
    ]
    found = find_recordings([tmp_path / "data"], follow_links=True)
    assert found.recordings == [tmp_path / "data" / "more" / "r.hea"]


@pytest.mark.parametrize(
    "pointer",
    [
        "/annex/objects/MD5E-s75--1.hea\n",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    ],
)
def test_names_a_pointer_as_what_it_is(tmp_path: Path, pointer: str) -> None:
    with pytest.raises(FileMissing, match="pointer, not the recording's data"):
        read(_record(tmp_path, pointer))


def _segment(folder: Path, name: str, *signals: tuple[str, str, float]) -> None:
    """1000 samples of each signal: name, unit and gain."""
    scaled = np.stack([np.rint(WAVE / 200 * gain).astype("<i2") for _, _, gain in signals], axis=1)
    scaled.tofile(folder / f"{name}.dat")
    lines = [
        f"{name}.dat 16 {gain}(0)/{unit} 16 0 0 "
        f"{int(scaled[:, index].sum(dtype=np.int64)) & 0xFFFF} 0 {label}"
        for index, (label, unit, gain) in enumerate(signals)
    ]
    (folder / f"{name}.hea").write_text("\n".join([f"{name} {len(signals)} 250 1000", *lines, ""]))


def test_segments_differ_in_their_signals(tmp_path: Path) -> None:
    """Segments: an ECG, none, a gap, other order and gain, no signal, a lead without samples."""
    _segment(tmp_path, "s1", ("II", "mV", 200), ("PLETH", "NU", 100))
    _segment(tmp_path, "s2", ("ABP", "mmHg", 10), ("PLETH", "NU", 100))
    _segment(tmp_path, "s3", ("PLETH", "NU", 100), ("II", "mV", 2000))
    (tmp_path / "s4.hea").write_text("s4 0 250 1000\n")
    (tmp_path / "s5.hea").write_text("s5 1 250 1000\n~ 0 200/mV 16 0 0 0 0 II\n")
    (tmp_path / "r_layout.hea").write_text(
        "r_layout 2 250 0\n~ 0 200/mV 16 0 0 0 0 II\n~ 0 100/NU 16 0 0 0 0 PLETH\n"
    )
    segments = ["r_layout 0", "s1 1000", "s2 1000", "~ 1000", "s3 1000", "s4 1000", "s5 1000"]
    (tmp_path / "r.hea").write_text("\n".join([f"r/{len(segments)} 2 250 6000", *segments, ""]))
    found = WfdbAdapter().read(tmp_path / "r.hea", ReadOptions())
    assert ([lead.name for lead in found.leads], found.gaps()) == (
        ["II"],
        ((1000, 3000), (4000, 6000)),
    )
    for start in (0, 3000):
        np.testing.assert_allclose(
            found.leads[0].samples[start : start + 1000], WAVE / 200, atol=3e-3
        )
    assert find_recordings([tmp_path]).recordings == [tmp_path / "r.hea"]
