"""Finding adapters and recordings, and reading in any format."""

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from ecgfl_adapters import discovery, find_recordings, registry
from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import (
    AdapterError,
    FileMissing,
    FileUnreadable,
    FormatUnknown,
    LabelsUnreadable,
    RateUnknown,
)
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Recording
from ecgfl_adapters.wfdb.adapter import WfdbAdapter
from ecgfl_adapters.wfdb.writer import write_annotations


class VendorAdapter:
    """An adapter that a hospital installed, which fails as third-party code may."""

    name = "vendor"

    def recognises(self, path: Path) -> bool:
        if path.suffix == ".bad":
            raise KeyError("no such thing")
        return path.suffix == ".ven"

    def read(self, path: Path, options: ReadOptions) -> Recording:
        raise IndexError(f"{path.name} {options.fs}")

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        raise NotImplementedError(recording, folder)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register one more adapter, one that cannot be imported, and a class that is not one."""
    builtin = list(registry.entry_points(group=registry.GROUP))
    here = f"{__name__}:VendorAdapter"
    more = [
        EntryPoint("vendor", here, registry.GROUP),
        EntryPoint("gone", "no_such_module:Adapter", registry.GROUP),
        EntryPoint("wrong", "pathlib:Path", registry.GROUP),
    ]
    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group: [*builtin, *more] if group == registry.GROUP else [],
    )
    registry.installed.cache_clear()
    yield
    registry.installed.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, recording: Recording) -> Path:
    """Three recordings of three formats, with what usually lies beside them."""
    (tmp_path / "sub").mkdir()
    adapters = registry.adapters()
    adapters["wfdb"].write(recording, tmp_path)
    adapters["edf"].write(recording, tmp_path / "sub")
    adapters["csv"].write(recording, tmp_path / "sub")
    (tmp_path / "readme.md").write_text("notes")
    (tmp_path / "letter.txt").write_text("Dear colleague,\nplease find\nthe ECG.\n")
    (tmp_path / ".hidden.csv").write_text("1,2\n")
    (tmp_path / "sub" / "100annotations.txt").write_text("Sample# Type\n1 N\n")
    return tmp_path


def test_finds_built_in_formats_by_entry_points() -> None:
    assert list(registry.adapters()) == ["wfdb", "edf", "csv"]
    assert registry.installed().broken == {}


def test_no_format_library_is_loaded_before_a_file_is_read() -> None:
    script = (
        "import sys; from ecgfl_adapters.registry import adapters; adapters(); "
        "print([m for m in ('wfdb', 'edfio', 'pyedflib', 'pandas', 'scipy') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_each_file_goes_to_its_adapter(folder: Path) -> None:
    names = {
        "small.hea": "wfdb",
        "small.dat": "wfdb",
        "small": "wfdb",
        "sub/small.edf": "edf",
        "sub/small.csv": "csv",
    }
    assert {name: discovery.adapter_for(folder / name).name for name in names} == names
    assert discovery.adapter_for(folder / "readme.md", "csv").name == "csv"


def test_an_unknown_file_folder_or_format_is_refused(folder: Path) -> None:
    with pytest.raises(
        FormatUnknown,
        match=r"readme\.md: no adapter recognises the file.*--input-format wfdb\|edf\|csv",
    ):
        discovery.adapter_for(folder / "readme.md")
    with pytest.raises(FormatUnknown, match="is a folder"):
        discovery.adapter_for(folder)
    with pytest.raises(FormatUnknown, match="no adapter is named 'xml'"):
        discovery.adapter_for(folder / "small.hea", "xml")
    with pytest.raises(FileMissing, match=r"nix\.edf: does not exist"):
        discovery.adapter_for(folder / "nix.edf")
    (folder / "small.hea").unlink()
    with pytest.raises(FormatUnknown, match=r"there is no small\.hea beside it"):
        discovery.adapter_for(folder / "small.dat")


@pytest.mark.usefixtures("vendor")
def test_a_broken_adapter_does_not_harm_the_others(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry.installed.cache_clear()
    assert list(registry.adapters()) == ["vendor", "wfdb", "edf", "csv"]
    assert set(registry.installed().broken) == {"gone", "wrong"}
    assert "no_such_module" in registry.installed().broken["gone"]
    assert "adapter 'gone' is left out" in caplog.text
    with pytest.raises(FormatUnknown, match="no_such_module"):
        discovery.adapter_for(folder / "small.hea", "gone")


@pytest.mark.usefixtures("vendor")
def test_converts_any_exception_to_file_unreadable(tmp_path: Path) -> None:
    (tmp_path / "x.ven").write_text("x")
    with pytest.raises(
        FileUnreadable, match=r"x\.ven: the vendor reader failed with IndexError: x\.ven 5"
    ):
        discovery.read(tmp_path / "x.ven", options=ReadOptions(fs=5))
    (tmp_path / "x.bad").write_text("x")
    with pytest.raises(FormatUnknown):
        discovery.read(tmp_path / "x.bad")


def test_read_gives_the_same_recording_from_every_format(
    folder: Path, recording: Recording
) -> None:
    for name in ("small.hea", "sub/small.edf", "sub/small.csv"):
        found = discovery.read(folder / name)
        assert (found.fs, found.length, found.labels) == (
            recording.fs,
            recording.length,
            recording.labels,
        )


def test_a_folder_gives_one_path_a_recording(folder: Path) -> None:
    found = find_recordings([folder])
    assert found.recordings == [
        folder / "small.hea",
        folder / "sub" / "small.csv",
        folder / "sub" / "small.edf",
    ]
    assert found.skipped == [folder / "letter.txt", folder / "readme.md"]


def test_a_shell_pattern_gives_one_path_a_recording(folder: Path) -> None:
    paths = [
        folder / name
        for name in ("small.atr", "small.dat", "small.hea", "small", "sub/small.labels.csv")
    ]
    assert find_recordings(paths) == ([folder / "small.hea"], [])


def test_keeps_named_path_so_that_reading_reports_it(folder: Path) -> None:
    paths = [folder / "nix.edf", folder / "readme.md"]
    assert find_recordings(paths) == (paths, [])


def test_segments_and_signal_files_are_not_recordings(tmp_path: Path, recording: Recording) -> None:
    WfdbAdapter().write(recording, tmp_path)
    (tmp_path / "all.hea").write_text("all/2 2 250 5150\nsmall 2575\nsmall 2575\n")
    assert find_recordings([tmp_path]).recordings == [tmp_path / "all.hea"]


@pytest.mark.parametrize(
    ("folder", "count"),
    [("mitdb", 48), ("svdb", 40), ("qtdb", 29), ("nstdb", 5), ("csv", 3), ("edf", 2)],
)
def test_finds_every_recording_of_a_folder(real_data: Path, folder: str, count: int) -> None:
    if not (real_data / folder).is_dir():
        pytest.skip(f"{real_data / folder} is not there")
    found = find_recordings([real_data / folder])
    assert len(found.recordings) == count
    assert found.skipped == []


def test_changed_header_byte_is_read_or_refused_with_reason(
    tmp_path: Path, recording: Recording
) -> None:
    adapters = registry.adapters()
    leads = tuple(replace(lead, samples=lead.samples[:500]) for lead in recording.leads)
    short = replace(recording, leads=leads, labels=(recording.labels or ())[:2])
    refused = []
    for name, step in (("wfdb", 3), ("edf", 3), ("csv", 17)):  # tables take much longer
        path = adapters[name].write(short, tmp_path)[0]
        good = path.read_bytes()
        for position in range(0, min(len(good), 1024), step):
            for value in b"\x00\xff9-":
                path.write_bytes(good[:position] + bytes([value]) + good[position + 1 :])
                try:
                    discovery.read(path, name)
                except AdapterError as error:
                    refused.append(str(error))
    assert len(refused) > 300
    assert [reason for reason in refused if "reader failed with" in reason] == []


@pytest.mark.parametrize("name", ["wfdb", "edf", "csv"])
def test_a_rate_that_is_not_the_files_is_refused(
    tmp_path: Path, recording: Recording, name: str
) -> None:
    path = registry.adapters()[name].write(recording, tmp_path)[0]
    assert discovery.read(path, options=ReadOptions(fs=250.5)).fs == 250
    with pytest.raises(RateUnknown, match="500 Hz"):
        discovery.read(path, options=ReadOptions(fs=500))


def test_reads_database_by_records_file_and_reports_missing(
    tmp_path: Path, recording: Recording
) -> None:
    WfdbAdapter().write(recording, tmp_path)
    (tmp_path / "RECORDS").write_text("small\nlost\n../outside\nsub/deep\ns3://bucket/x\n")
    (tmp_path / "ANNOTATORS").write_text("atr\treference beats\n")
    for named in (tmp_path, tmp_path / "RECORDS"):
        found = find_recordings([named])
        assert found.recordings == [
            tmp_path / "small.hea",
            tmp_path / "lost.hea",
            tmp_path / "sub" / "deep.hea",
        ]
        assert found.skipped == []
    with pytest.raises(FileMissing, match=r"lost\.hea: (does not exist|cannot be opened)"):
        read(tmp_path / "lost.hea")


def test_labels_come_from_an_annotator_or_a_folder_in_any_format(
    tmp_path: Path, recording: Recording
) -> None:
    path = WfdbAdapter().write(recording, tmp_path)[0]
    corrected = tmp_path / "corrected"
    corrected.mkdir()
    wanted = (BeatLabel(100, "N"), BeatLabel(200, "V"))
    write_annotations(wanted, corrected / "small.ecgfl", fs=recording.fs)
    assert (
        read(path, options=ReadOptions(accept_predictions=True, labels=str(corrected))).labels
        == wanted
    )
    (corrected / "small.ecgfl").unlink()
    assert (
        read(path, options=ReadOptions(accept_predictions=True, labels=str(corrected))).labels
        is None
    )
    (tmp_path / "small.ecgfl.csv").write_text(
        "sample,time_s,symbol,class,probability\n100,0.4,N,N,0.1\n200,0.8,V,V,0.9\n"
    )
    assert read(path, options=ReadOptions(accept_predictions=True, labels="ecgfl")).labels == wanted
    machine = read(path, options=ReadOptions(labels="ecgfl"))
    assert (machine.labels, machine.label_origin) == (None, "machine")
    write_annotations(
        (BeatLabel(100, "V"), BeatLabel(200, "V")), tmp_path / "small.ecgfl", fs=recording.fs
    )
    with pytest.raises(LabelsUnreadable, match="hold different beats"):
        read(path, options=ReadOptions(accept_predictions=True, labels="ecgfl"))
