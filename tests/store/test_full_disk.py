"""If the disk is full at any step, one line says so, and the store is not damaged."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kills
import pytest
from small_disk import Disk

Ecgfl = Callable[..., Any]
RECORDINGS = 6
KILOBYTES = [20, 60, 100, 160, 200, 240, 280, 320, 360, 400, 440]
"""From a disk without room for the catalogue to one with room for almost everything."""


@pytest.fixture
def disk(home: Path) -> Iterator[Callable[[int], Disk]]:
    """disk(kilobytes): every command's home is a file system of that size."""
    mounted = []

    def disk(kilobytes: int) -> Disk:
        mounted.append(Disk(home, kilobytes))
        return mounted[-1]

    yield disk
    for each in mounted:
        each.unmount()


@pytest.fixture
def recordings(export: Any) -> Path:
    for seed in range(1, RECORDINGS + 1):
        path = export(seed)
    return path.parent


def assert_one_line(ran: Any, home: Path) -> None:
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1, ran.err
    assert str(home) in ran.problems[0]
    assert "space" in ran.problems[0]
    assert "backup" not in ran.problems[0]


@pytest.mark.parametrize("kilobytes", KILOBYTES)
def test_ingest_resumes_after_a_full_disk(
    disk: Callable[[int], Disk], home: Path, ecgfl: Ecgfl, recordings: Path, kilobytes: int
) -> None:
    full = disk(kilobytes)
    assert ecgfl("init", "--site", "st-mary").code == 0
    assert_one_line(ecgfl("ingest", recordings, "--jobs", 2), home)
    assert list((home / "records").glob(".*")) == []
    full.make_room()
    checked = ecgfl("validate", "--json")
    assert checked.json["unreadable"] == {}
    stored = len(checked.json["usable"])
    outcomes = ecgfl("ingest", recordings, "--json").json["outcomes"]
    assert outcomes == {
        key: number
        for key, number in (("unchanged", stored), ("added", RECORDINGS - stored))
        if number
    }
    assert ecgfl("segment").code == ecgfl("audit", "verify").code == 0


def test_segment_resumes_after_a_full_disk(
    disk: Callable[[int], Disk], home: Path, ecgfl: Ecgfl, recordings: Path
) -> None:
    full = disk(900)
    assert ecgfl("init", "--site", "st-mary").code == 0
    assert ecgfl("ingest", recordings).code == 0
    full.fill()
    assert_one_line(ecgfl("segment"), home)
    full.make_room()
    assert ecgfl("segment").code == 0
    whole = kills.content_of(home)
    assert len([name for name in whole.files if name.endswith(".safetensors")]) == RECORDINGS
    assert not [name for name in whole.files if name.endswith(".tmp")]


@pytest.mark.parametrize(
    "command",
    [("ingest", "RECORDINGS"), ("segment",), ("validate",), ("dataset", "remove", "RECORD")],
)
def test_a_home_that_can_only_be_read_is_named(
    disk: Callable[[int], Disk],
    home: Path,
    ecgfl: Ecgfl,
    recordings: Path,
    command: tuple[str, ...],
) -> None:
    read_only = disk(64_000)
    assert ecgfl("init", "--site", "st-mary").code == 0
    assert ecgfl("ingest", recordings).code == 0
    before = kills.content_of(home)
    record = str(before.rows["records"][0][0])
    read_only.forbid_writing()
    ran = ecgfl(
        *({"RECORDINGS": str(recordings), "RECORD": record}.get(part, part) for part in command)
    )
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1, ran.err
    assert str(home) in ran.problems[0]
    assert kills.content_of(home) == before
    assert ecgfl("dataset", "list", "--json").json["recordings"] != []
