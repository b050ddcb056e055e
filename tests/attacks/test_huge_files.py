"""Sparse and huge files are refused in bounded memory and time, and do not affect other files."""

import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ecgfl_adapters import label_files
from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.label_files import MOST_LABELS, read_labels
from ecgfl_adapters.registry import adapters
from ecgfl_adapters.search import LARGEST_RECORDS, MOST_MISSING
from ecgfl_adapters.wfdb.header import LARGEST_HEADER

from ecgfl_cli.demo.synthesiser import synthesise

Ecgfl = Callable[..., Any]
pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="files are not sparse there"),
    pytest.mark.timeout(300),
]
HUGE = 3 << 30
MOST_MEMORY = 600 << 20
"""Largest memory in bytes of a process that reads all files. The libraries alone take 150 MiB."""

MOST_BYTES_OF_A_LABEL = (1 << 30) / MOST_LABELS
"""With it, the labels of the largest file take less than 1 GiB."""

SIGNAL = "{name}.dat 16 200 16 0 0 0 0 II\n"


def sparse(path: Path, size: int = HUGE) -> Path:
    with path.open("ab") as file:
        file.truncate(size)
    return path


def record(folder: Path, name: str, line: str, size: int) -> Path:
    path = folder / f"{name}.hea"
    path.write_text(f"{line}\n{SIGNAL.format(name=name)}")
    sparse(folder / f"{name}.dat", size)
    return path


def edf_of(records: str, samples: str) -> bytes:
    head = b"0       " + b"X".ljust(160) + b"01.01.2001.00.00" + b"512".ljust(8) + b" " * 44
    head += records.encode().ljust(8) + b"1".ljust(8) + b"1".ljust(4)
    fields = (
        ("ECG II", 16),
        ("", 80),
        ("uV", 8),
        ("-3200", 8),
        ("3200", 8),
        ("-32768", 8),
        ("32767", 8),
        ("", 80),
        (samples, 8),
    )
    return head + b"".join(text.encode().ljust(width) for text, width in fields) + b" " * 32


@pytest.fixture
def huge(tmp_path: Path) -> list[Path]:
    """Return files that are refused."""
    folder = tmp_path / "huge"
    folder.mkdir()
    found = [
        record(folder, "far-too-long", "a 1 250", HUGE),
        record(folder, "holes", "a 1 250", 800 << 20),
        record(folder, "billions", "a 1 250 1000000000000", 4000),
        record(folder, "digits", f"a 1 250 {'9' * 1500}", 4000),
        sparse(record(folder, "header", "a 1 250 2000", 4000)),
        sparse(folder / "zeros.hea"),
        sparse(folder / "zeros.csv"),
        sparse(folder / "zeros.edf"),
    ]
    (folder / "signals.hea").write_text("a 1000000000 250 1000\n")
    (folder / "segments.hea").write_text(
        f"a/200000 1 250 200000\n{'far 1' * 1}\n" + "far 1\n" * 199_999
    )
    (folder / "million.hea").write_text("a/1000000 1 250 1000000\n" + "far 1\n" * 1_000_000)
    (folder / "loop.hea").write_text("a/2 1 250 2000\nloop 1000\nloop 1000\n")
    (folder / "one.hea").write_text("a/1 1 250 2000\ntwo 2000\n")
    (folder / "two.hea").write_text("a/1 1 250 2000\none 2000\n")
    (folder / "per-frame.hea").write_text(
        "a 1 250 2000\nfar-too-long.dat 16x1000000000 200 16 0 0 0 0 II\n"
    )
    rows = "".join(f"{number / 250:.3f},0.1\n" for number in range(40_000))
    (folder / "rows.csv").write_text(f"time_s,II (mV)\n{rows}")
    (folder / "claims.edf").write_bytes(edf_of("99999999", "250") + bytes(5000))
    (folder / "years.edf").write_bytes(edf_of("6000000", "250"))
    sparse(folder / "years.edf", 512 + 6_000_000 * 500)
    for name in ("labels", "text"):
        record(folder, name, "a 1 250 2000", 4000)
    sparse(folder / "labels.atr")
    sparse(folder / "text.labels.csv")
    names = ("signals", "segments", "million", "loop", "one", "per-frame", "labels", "text")
    return [
        *found,
        *(folder / f"{name}.hea" for name in names),
        sparse(folder / "rows.csv"),
        folder / "claims.edf",
        folder / "years.edf",
    ]


def test_memory_stays_bounded(huge: list[Path]) -> None:
    program = (
        "import sys\n"
        "import psutil\n"
        "from pathlib import Path\n"
        "from ecgfl_adapters import find_recordings, read\n"
        "from ecgfl_adapters.errors import AdapterError\n"
        "find_recordings([Path(sys.argv[1]).parent])\n"
        "for path in map(Path, sys.argv[1:]):\n"
        "    try:\n"
        "        print('READ', path.name, read(path).length)\n"
        "    except AdapterError as error:\n"
        "        assert 'reader failed' not in str(error), error\n"
        # Not `ru_maxrss`, which a process inherits from its parent.
        "own = psutil.Process().memory_info()\n"
        "is_linux = sys.platform == 'linux'\n"
        "status = Path('/proc/self/status').read_text() if is_linux else ''\n"
        "peaks = [line for line in status.splitlines() if line.startswith('VmHWM')]\n"
        "peak = int(peaks[0].split()[1]) * 1024 if peaks else getattr(own, 'peak_wset', own.rss)\n"
        "print(peak)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *map(str, huge)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran
    assert "READ" not in ran.stdout
    assert int(ran.stdout.split()[-1]) < MOST_MEMORY


def test_huge_files_do_not_affect_a_good_one(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    huge: list[Path],
    export: Any,
) -> None:
    good = export(1)
    ran = ecgfl("ingest", *huge, good, "--json")
    assert ran.code == 3
    assert ran.json["outcomes"] == {"unreadable": len(huge), "added": 1}
    assert len(ran.problems) == len(huge)


def test_signal_file_longer_than_stated_is_read(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
) -> None:
    path = export(1)
    with path.with_suffix(".dat").open("ab") as file:
        file.write(bytes(5_000_000))
    assert ecgfl("ingest", path, "--json").json["outcomes"] == {"added": 1}


def test_huge_record_list_is_bounded(site: Path, ecgfl: Ecgfl, export: Any) -> None:  # noqa: ARG001
    path = export(1)
    records = path.with_name("RECORDS")
    records.write_text("".join(f"r{number:06d}\n" for number in range(3_000_000)))
    for named in (path.parent, records):
        ran = ecgfl("ingest", named, "--json")
        assert ran.code == 3
        assert [
            line
            for line in ran.problems
            if f"{LARGEST_RECORDS} of such a file" in line and "RECORDS" in line
        ]
    assert len(ecgfl("dataset", "list", "--json").json["recordings"]) == 1


def test_list_of_missing_records_is_bounded(site: Path, ecgfl: Ecgfl, export: Any) -> None:  # noqa: ARG001
    path = export(1)
    records = path.with_name("RECORDS")
    records.write_text("".join(f"r{number}\n" for number in range(100_000)) + f"{path.stem}\n")
    for named, outcomes in (
        (records, {"unreadable": 1}),
        (path.parent, {"unreadable": 1, "added": 1}),
    ):
        ran = ecgfl("ingest", named, "--json")
        assert ran.code == 3
        assert ran.json["outcomes"] == outcomes
        (line,) = ran.problems
        assert f"more than {MOST_MISSING} of its 100001 records are not there" in line
        assert str(records) in line


def test_missing_records_of_a_list_are_named(site: Path, ecgfl: Ecgfl, export: Any) -> None:  # noqa: ARG001
    path = export(1)
    path.with_name("RECORDS").write_text("a\nb\n" + f"{path.stem}\n")
    assert ecgfl("ingest", path.with_name("RECORDS"), "--json").json["outcomes"] == {
        "unreadable": 2,
        "added": 1,
    }


MANY_LABELS = {
    "many.csv": lambda count: (
        b"sample,symbol\n" + b"".join(b"%d,N\n" % number for number in range(count))
    ),
    "times.csv": lambda count: (
        b"time_s,symbol\n" + b"".join(b"%d,N\n" % number for number in range(count))
    ),
    "many.atr": lambda count: np.array([*[(1 << 10) | 200] * count, 0], "<u2").tobytes(),
}


@pytest.mark.parametrize("name", MANY_LABELS)
def test_too_many_labels_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(label_files, "MOST_LABELS", 1000)
    path = tmp_path / name
    path.write_bytes(MANY_LABELS[name](1000))
    assert len(read_labels(path, 250.0)) == 1000
    path.write_bytes(MANY_LABELS[name](1001))
    with pytest.raises(LabelsUnreadable, match="more than 1000 labels"):
        read_labels(path, 250.0)


def test_endless_label_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for content in (b"a" * 100_000, b"sample,symbol\n1,N\n" + b"\x0b" * 100_000):
        path.write_bytes(content)
        with pytest.raises(LabelsUnreadable, match="more than 65536 characters"):
            read_labels(path, 250.0)


def test_labels_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(MANY_LABELS["many.csv"](300_000))
    tracemalloc.start()
    try:
        labels = read_labels(path, 250.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / len(labels) < MOST_BYTES_OF_A_LABEL


def test_huge_settings_and_models_are_refused(
    modelled: Path, ecgfl: Ecgfl, federation: Any, tmp_path: Path
) -> None:
    big = sparse(tmp_path / "big")
    os.mkfifo(tmp_path / "pipe")
    assert ecgfl("coordinator", "init", "--name", "localhost").code == 0
    for path in (big, tmp_path / "pipe", Path("/dev/zero")):
        assert ecgfl("init", "--site", "st-mary", "--federation", path).code in {2, 3}
        assert ecgfl("model", "import", path).code in {3, 7}
        assert ecgfl("coordinator", "enrol", path, "--site", "other").code == 3
    manifest = modelled / "models" / federation.version / "manifest.json"
    weights = manifest.with_name("model.safetensors")
    for file in (weights, manifest, modelled / "models" / "current", modelled / "site.toml"):
        shutil.copy(file, tmp_path / "before") if file.exists() else None
        file.unlink(missing_ok=True)
        sparse(file)
        ran = ecgfl("predict", tmp_path / "nothing.edf")
        assert ran.code in {2, 3, 7}, file
        assert len(ran.problems) == 1
        file.unlink()
        shutil.copy(tmp_path / "before", file)


def test_deeply_nested_settings_are_refused(site: Path, ecgfl: Ecgfl) -> None:
    (site / "site.toml").write_text(f"x = {'[' * 100_000}\n")
    ran = ecgfl("join", "--server", "127.0.0.1:1", "--once")
    assert ran.code == 2
    assert len(ran.problems) == 1
    assert "site.toml" in ran.err


@pytest.mark.parametrize(
    "error", [RecursionError, MemoryError, OverflowError, UnicodeError, ZeroDivisionError]
)
@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_library_error_affects_one_file(
    modelled: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    error: type[Exception],
) -> None:
    paths = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        paths.append(adapters()["wfdb"].write(synthesise(seed, 330, 250, pvc_share=0.1), folder)[0])
    from ecgfl_cli.prediction.pipeline import Classifier

    predict = Classifier.predict

    def broken(self: Classifier, recording: Any, lead: str | None = None) -> Any:
        if recording.source.path == paths[0]:
            raise error
        return predict(self, recording, lead)

    monkeypatch.setattr(Classifier, "predict", broken)
    ran = ecgfl(verb, *paths, "--json", *(("--out", tmp_path / "out") if verb == "predict" else ()))
    assert ran.code == 3
    assert len([line for line in ran.problems if str(paths[0]) in line]) == 1
    assert str(paths[1]) in ran.out or verb == "evaluate"


def test_the_largest_header_is_read() -> None:
    assert LARGEST_HEADER > 10_000 * 200  # lines of a multi-segment record
