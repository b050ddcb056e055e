"""Links and paths that lead out of a folder are not followed, and their targets are not quoted."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ecgfl_adapters import find_recordings
from ecgfl_adapters.discovery import read
from ecgfl_adapters.errors import AdapterError
from ecgfl_adapters.registry import adapters

from ecgfl_cli.demo.synthesiser import synthesise

Ecgfl = Callable[..., Any]
pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="making links needs a privilege on Windows"),
    pytest.mark.timeout(120),
]
SECRET = "root:secret-of-another"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file outside of the folder. Some reader would quote each of its lines."""
    folder = tmp_path / "outside"
    folder.mkdir()
    file = folder / "passwd"
    file.write_text(f"{SECRET}\n{SECRET},{SECRET}\n")
    return file


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Return the header of a good record, alone in a folder."""
    folder = tmp_path / "share"
    folder.mkdir()
    adapters()["wfdb"].write(synthesise(1, 40, 250, pvc_share=0.1), folder)
    return folder / "synthetic-1.hea"


def link_of(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def text_of(path: Path, target: Path) -> None:
    """Write what git writes where it cannot make links."""
    path.unlink(missing_ok=True)
    path.write_text(os.path.relpath(target, path.parent))


@pytest.mark.parametrize("make", [link_of, text_of])
@pytest.mark.parametrize(
    "name", ["synthetic-1.dat", "synthetic-1.atr", "synthetic-1.labels.csv", "synthetic-1.hea"]
)
def test_companion_outside_the_folder_is_not_read(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    record: Path,
    secret: Path,
    name: str,
    make: Callable[[Path, Path], None],
) -> None:
    if name.endswith(".csv"):
        record.with_suffix(".atr").unlink()
    make(record.with_name(name), secret)
    for named in (record.parent, record):
        for verb in ("validate", "ingest"):
            ran = ecgfl(verb, named)
            assert SECRET not in ran.out + ran.err
            assert ran.code == 3
            assert "--follow-links" in ran.err


@pytest.mark.parametrize("suffix", [".edf", ".csv", ".hea", ".txt"])
def test_link_out_of_a_folder_is_skipped(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    record: Path,
    secret: Path,
    suffix: str,
) -> None:
    link = record.with_name(f"other{suffix}")
    link.symlink_to(secret)
    ran = ecgfl("ingest", record.parent)
    assert ran.code == 0
    assert SECRET not in ran.out + ran.err
    assert [line for line in ran.problems if str(link) in line and "--follow-links" in line]
    assert str(link) in ecgfl("ingest", record.parent, "--follow-links").err


def test_follow_links_option_follows_links(
    modelled: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    record: Path,
    tmp_path: Path,
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for file in record.parent.iterdir():
        (links / file.name).symlink_to(file)
    (tmp_path / "above").mkdir()
    (tmp_path / "above" / "deep").symlink_to(record.parent)
    for verb in ("ingest", "validate", "predict", "evaluate"):
        out = ("--out", tmp_path / f"out-{verb}") if verb == "predict" else ()
        for folder in (links, tmp_path / "above"):
            ran = ecgfl(verb, folder, *out)
            assert ran.code == 3
            assert "no recording in there" in ran.err
            assert "--follow-links" in ran.err
            assert (
                "no recording"
                not in ecgfl(
                    verb, folder, "--follow-links", *out, "--force" if out else "--quiet"
                ).err
            )


def test_links_inside_the_folder_are_followed(site: Path, ecgfl: Ecgfl, record: Path) -> None:  # noqa: ARG001
    folder = record.parent
    store = folder / ".git" / "annex" / "objects"
    store.mkdir(parents=True)
    for number, file in enumerate(sorted(folder.glob("synthetic*"))):
        shutil.move(file, store / f"key{number}")
        file.symlink_to(Path(".git") / "annex" / "objects" / f"key{number}")
    (folder / "again").symlink_to(folder)
    (folder / "sub").mkdir()
    (folder / "sub" / "up").symlink_to("..")
    ran = ecgfl("ingest", folder, "--json")
    assert ran.json["outcomes"] == {"added": 1}
    assert ecgfl("ingest", record, "--json").json["outcomes"] == {"unchanged": 1}
    (folder / "sub" / "copy.hea").symlink_to("../.git/annex/objects/key2")
    assert find_recordings([folder / "sub"]).recordings == [folder / "sub" / "copy.hea"]


def test_a_named_link_is_followed(site: Path, ecgfl: Ecgfl, record: Path, tmp_path: Path) -> None:  # noqa: ARG001
    (tmp_path / "links").mkdir()
    for file in record.parent.iterdir():
        (tmp_path / "links" / file.name).symlink_to(file)
    ran = ecgfl("ingest", tmp_path / "links" / record.name, "--json")
    assert ran.json["outcomes"] == {"added": 1}


@pytest.mark.parametrize(
    "name",
    [
        "../outside/passwd",
        "/etc/passwd",
        "..\\outside\\passwd",
        "C:passwd",
        "C:\\x",
        "\\\\host\\share\\x",
        "//host/x",
        "..",
    ],
)
def test_header_with_a_path_outside_is_refused(record: Path, secret: Path, name: str) -> None:
    text = record.read_text()
    record.write_text(text.replace("synthetic-1.dat", name))
    with pytest.raises(AdapterError) as refused:
        read(record)
    assert SECRET not in str(refused.value)
    record.write_text(f"synthetic-1/2 1 250 100\n{name} 50\n{name} 50\n")
    with pytest.raises(AdapterError) as refused:
        read(record)
    assert SECRET not in str(refused.value)
    (record.parent / "RECORDS").write_text(f"{name}\nsynthetic-1\nsub/passwd\n")
    (record.parent / "sub").symlink_to(secret.parent)
    found = find_recordings([record.parent])
    assert {path.parent for path in found.recordings} <= {record.parent, record.parent / "sub"}
    assert record in found.recordings


def test_record_list_does_not_lead_through_a_link(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    record: Path,
    secret: Path,
) -> None:
    (record.parent / "sub").symlink_to(secret.parent)
    secret.rename(secret.with_name("x.edf"))
    (record.parent / "RECORDS").write_text("synthetic-1\nsub/x.edf\n")
    for named in (record.parent, record.parent / "RECORDS"):
        ran = ecgfl("ingest", named)
        assert SECRET not in ran.out + ran.err
        assert "sub/x.edf: skipped" in ran.err
        assert "--follow-links" in ran.err


def test_label_link_out_of_a_folder_is_not_read(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    record: Path,
    secret: Path,
    tmp_path: Path,
) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "synthetic-1.labels.csv").symlink_to(secret)
    ran = ecgfl("validate", record, "--labels", labels)
    assert ran.code == 3
    assert SECRET not in ran.out + ran.err
    (labels / "synthetic-1.labels.csv").unlink()
    named = tmp_path / "mine.atr"
    named.symlink_to(record.with_suffix(".atr"))
    assert ecgfl("ingest", record, "--labels", named).code == 0


def test_content_of_a_named_link_is_not_quoted(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    record: Path,
    secret: Path,
) -> None:
    for name in ("a.csv", "a.edf", "a.hea", "a.txt"):
        link = record.with_name(name)
        link.symlink_to(secret)
        for command in (
            ("ingest", link),
            ("predict", link),
            ("ingest", link, "--format", "csv"),
            ("ingest", link, "--explain"),
        ):
            ran = ecgfl(*command)
            assert ran.code in {2, 3}
            assert SECRET not in ran.out + ran.err


@pytest.mark.parametrize("verb", ["ingest", "validate", "predict", "evaluate"])
def test_devices_and_pipes_do_not_hang(
    modelled: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    record: Path,
    verb: str,
) -> None:
    os.mkfifo(record.parent / "pipe.atr")
    for name in ("other.edf", "other.csv", "other.txt", "x.hea"):
        (record.parent / name).symlink_to(
            "/dev/zero" if name != "x.hea" else record.parent / "pipe.atr"
        )
    out = ("--out", record.parent.parent / "out") if verb == "predict" else ()
    for path in (
        "/dev/zero",
        "/proc/kmsg",
        "/proc/self/mem",
        record.parent / "other.csv",
        record.parent / "x.hea",
    ):
        ran = ecgfl(verb, path, *out)
        assert ran.code == 3
        assert len(ran.problems) == 1
    assert "other.edf: skipped" in ecgfl(verb, record.parent, *out).err


def test_deep_folder_tree_is_searched(site: Path, ecgfl: Ecgfl, record: Path) -> None:  # noqa: ARG001
    deep = record.parent
    here = Path.cwd()
    try:
        os.chdir(deep)
        for _ in range(1200):
            os.mkdir("d")  # noqa: PTH102 - the path is longer than one call takes
            os.chdir("d")
    finally:
        os.chdir(here)
    try:
        assert ecgfl("ingest", record.parent, "--json").json["outcomes"] == {"added": 1}
    finally:
        subprocess.run(["rm", "-rf", record.parent / "d"], check=True)  # shutil.rmtree is recursive
