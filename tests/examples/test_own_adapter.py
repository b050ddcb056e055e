"""An adapter that a hospital installs as its own package takes part like the built-in ones."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from ecgfl_adapters import (
    FileUnreadable,
    LabelsUnreadable,
    ReadOptions,
    find_recordings,
    read,
    registry,
)
from ecgfl_adapters.registry import adapters

from ecgfl_cli.demo.synthesiser import synthesise

PACKAGE = Path(__file__).resolve().parents[2] / "examples" / "acme_holter"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip put the package."""
    folder = tmp_path_factory.mktemp("packages")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    done = subprocess.run(
        [*command, "--target", str(folder), str(PACKAGE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def acme_installed(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package is installed for this process and its workers."""
    monkeypatch.syspath_prepend(str(installed))
    registry.installed.cache_clear()
    yield
    registry.installed.cache_clear()


@pytest.mark.usefixtures("acme_installed", "site")
def test_its_files_are_found_and_ingested(ecgfl: Callable[..., Any], tmp_path: Path) -> None:
    from acme_holter.adapter import AcmeAdapter

    (tmp_path / "in").mkdir()
    AcmeAdapter().write(synthesise(1, 60, 250, pvc_share=0.15), tmp_path / "in")
    (tmp_path / "in" / "broken.acme").write_bytes(b"ACME1\n{}\n")
    named = ecgfl("--json", "ingest", tmp_path / "in", "--format", "acme").json
    assert named["outcomes"] == {"added": 1, "unreadable": 1}
    assert "Export it again from the ACME viewer" in str(named["recordings"])
    again = ecgfl("--json", "ingest", tmp_path / "in").json
    assert again["outcomes"] == {"unchanged": 1, "unreadable": 1}
    (row,) = ecgfl("--json", "dataset", "list").json["recordings"]
    assert (row["format"], row["status"]) == ("acme", "usable")


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The adapter, registered in this process."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    entry = EntryPoint("acme", "acme_holter.adapter:AcmeAdapter", registry.GROUP)
    points = [*registry.entry_points(group=registry.GROUP), entry]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group else [])
    registry.installed.cache_clear()
    yield adapters()["acme"]
    registry.installed.cache_clear()


def test_recording_of_several_files_is_found_once(acme: Any, tmp_path: Path) -> None:
    recording = synthesise(1, 60, 250, pvc_share=0.15)
    written = acme.write(recording, tmp_path)
    assert [path.suffix for path in written] == [".acme", ".acs", ".beats"]
    assert find_recordings([tmp_path]) == ([written[0]], [])
    assert find_recordings(reversed(written)) == ([written[0]], [])
    found = read(written[0])
    assert (found.labels, found.fs, found.length) == (recording.labels, 250, recording.length)
    written[1].unlink()
    with pytest.raises(FileUnreadable, match=r"\.acs"):
        read(written[0])


def test_its_label_files_are_read_for_recordings_in_any_format(acme: Any, tmp_path: Path) -> None:
    recording = synthesise(1, 60, 250, pvc_share=0.15)
    beats = acme.write(recording, tmp_path)[2]
    for name in ("wfdb", "edf", "csv"):
        folder = tmp_path / name
        folder.mkdir()
        path = adapters()[name].write(replace(recording, labels=None), folder)[0]
        assert read(path).labels is None
        assert read(path, options=ReadOptions(labels=str(beats))).labels == recording.labels
        beats.rename(folder / beats.name)
        assert read(path, options=ReadOptions(labels="beats")).labels == recording.labels
        (folder / beats.name).rename(beats)
    beats.write_text("12 N 4\n")
    with pytest.raises(LabelsUnreadable, match="ACME viewer"):
        read(path, options=ReadOptions(labels=str(beats)))


def test_doctor_in_a_new_process_lists_it(installed: Path, site: Path) -> None:
    paths = filter(None, [str(installed), os.environ.get("PYTHONPATH")])
    done = subprocess.run(
        [sys.executable, "-m", "ecgfl_cli", "--home", str(site), "--json", "doctor"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        check=False,
        timeout=120,
    )
    assert done.returncode in (0, 3), done.stderr
    names = [check["name"] for check in json.loads(done.stdout)["checks"]]
    assert [name for name in names if name.startswith("format")] == [
        "format acme",
        "format wfdb",
        "format edf",
        "format csv",
    ]
