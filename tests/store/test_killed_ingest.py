"""After a kill at any moment, the store is valid, and the next run finishes the work."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import kills
import pytest

Ecgfl = Callable[..., Any]
MOMENTS = 15
SECONDS = 30
"""Of each real record."""

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no process groups and no SIGKILL"
)


class Undisturbed(NamedTuple):
    """The recordings, the content of an undisturbed store, and the seconds of each verb."""

    folder: Path
    content: kills.Content
    seconds: dict[str, float]


@pytest.fixture
def undisturbed(site: Path, real_data: Path, tmp_path: Path) -> Undisturbed:
    folder = kills.real_records(real_data, tmp_path / "recordings", SECONDS)
    seconds = {}
    for verb in (("ingest", folder), ("segment",)):
        started = time.monotonic()
        process = kills.start(site, *verb, "--jobs", 2)
        kills.ended(process)
        assert process.returncode == 0
        seconds[str(verb[0])] = time.monotonic() - started
    return Undisturbed(folder, kills.content_of(site), seconds)


@pytest.fixture
def home_after(
    undisturbed: Undisturbed, site: Path, tmp_path: Path, ecgfl: Ecgfl
) -> Callable[[str, float, bool], Path]:
    """home_after(verb, moment, whole_group): a new home in which a verb was killed.

    It has no damaged record.
    """
    number = iter(range(1000))

    def home_after(verb: str, moment: float, whole_group: bool) -> Path:
        twin = kills.twin_of(site, tmp_path / f"twin-{next(number)}")
        if verb == "segment":
            assert ecgfl("ingest", undisturbed.folder, "--jobs", 2, "--home", twin).code == 0
        process = kills.start(
            twin, verb, *([undisturbed.folder] if verb == "ingest" else []), "--jobs", 2
        )
        kills.strike(process, moment, signal.SIGKILL, whole_group)
        kills.ended(process)
        found = ecgfl("validate", "--jobs", 2, "--home", twin, "--json")
        assert found.code != 6, "the lock was left behind"
        assert found.json["unreadable"] == {}
        ecgfl("ingest", undisturbed.folder, "--jobs", 2, "--home", twin)
        assert kills.left_over(process.pid) == []
        return twin

    return home_after


@pytest.mark.slow
def test_ingest_finishes_after_random_kills(
    undisturbed: Undisturbed, home_after: Callable[[str, float, bool], Path], ecgfl: Ecgfl
) -> None:
    for place, moment in enumerate(kills.moments(MOMENTS, undisturbed.seconds["ingest"], seed=1)):
        home = home_after("ingest", moment, place % 2 == 0)
        assert ecgfl("segment", "--home", home).code == 0
        assert kills.content_of(home) == undisturbed.content, f"killed after {moment:.3f} s"
        assert ecgfl("audit", "verify", "--home", home).code == 0


@pytest.mark.slow
def test_segment_finishes_after_random_kills(
    undisturbed: Undisturbed, home_after: Callable[[str, float, bool], Path], ecgfl: Ecgfl
) -> None:
    for place, moment in enumerate(kills.moments(4, undisturbed.seconds["segment"], seed=2)):
        home = home_after("segment", moment, place % 2 == 0)
        assert ecgfl("segment", "--home", home).code == 0
        assert kills.content_of(home) == undisturbed.content, f"killed after {moment:.3f} s"


def test_segment_removes_temporary_files_of_a_kill(site: Path, ecgfl: Ecgfl, export: Any) -> None:
    assert ecgfl("ingest", export(1)).code == 0
    assert ecgfl("segment").code == 0
    (cut,) = (site / "beats").glob("*/*.safetensors")
    left_over = cut.with_name(".0123456789abcdef.tmp")
    left_over.write_bytes(cut.read_bytes()[:1000])
    cut.unlink()
    assert ecgfl("segment").code == 0
    assert [path.name for path in cut.parent.iterdir()] == [cut.name]


@pytest.fixture
def running(site: Path, export: Any) -> Iterator[Callable[[], Any]]:
    """running(): an ingest of 12 recordings in two processes, once the first of them is stored."""
    for seed in range(1, 13):
        path = export(seed, "wfdb", seconds=120)
    started = []

    def running() -> Any:
        process = kills.start(site, "ingest", path.parent, "--jobs", 2, "--json")
        started.append(process)
        deadline = time.monotonic() + 60
        while len(_stored(site)) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        return process

    yield running
    for process in started:
        process.kill()
        process.wait()


def _stored(site: Path) -> list[str]:
    records = site / "records"
    return (
        [folder.name for folder in records.iterdir() if folder.name[0] != "."]
        if records.is_dir()
        else []
    )


@pytest.mark.parametrize("whole_group", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_ingest_ends_cleanly_and_is_gone_on_with(
    running: Callable[[], Any],
    site: Path,
    ecgfl: Ecgfl,
    export: Any,
    number: signal.Signals,
    whole_group: bool,
) -> None:
    process = running()
    assert kills.strike(process, 0, number, whole_group), "it ended before it could be interrupted"
    out, err = kills.ended(process)
    assert process.returncode == 130
    assert err.splitlines() == ["ecgfl: interrupted"]
    assert out == ""
    assert kills.left_over(process.pid) == []
    assert not list((site / "records").glob(".*"))
    before = len(ecgfl("dataset", "list", "--json").json["recordings"])
    outcomes = ecgfl("ingest", export(1, "wfdb", seconds=120).parent, "--json").json["outcomes"]
    assert before >= 1
    assert outcomes == {"unchanged": before, "added": 12 - before}


@pytest.mark.parametrize("moment", [0.5, 0.8, 1.1, 1.4, 1.7, 2.0])
def test_an_interrupt_while_it_starts_leaves_no_traceback(
    site: Path, export: Any, ecgfl: Ecgfl, moment: float
) -> None:
    path = export(1, "wfdb", seconds=20)
    process = kills.start(site, "ingest", path, "--jobs", 2)
    struck = kills.strike(process, moment, signal.SIGINT, whole_group=True)
    _, err = kills.ended(process)
    assert "Traceback" not in err
    # While Python itself starts or ends, the system ends it, which a shell shows as 130, too.
    assert process.returncode in ((130, 0, -signal.SIGINT) if struck else (0,))
    assert kills.left_over(process.pid) == []
    assert ecgfl("ingest", path).code == 0


def test_a_killed_worker_costs_the_file_in_hand(
    running: Callable[[], Any], ecgfl: Ecgfl, export: Any
) -> None:
    process = running()
    victims = kills.workers(process.pid)
    assert len(victims) == 2
    os.kill(victims[0], signal.SIGKILL)
    out, err = kills.ended(process)
    outcomes = json.loads(out)["outcomes"]
    lost = outcomes.get("unreadable", 0)
    assert outcomes["added"] == 12 - lost
    assert lost <= 1  # none when it had no file in hand
    assert [line.startswith("ecgfl: ") and "crashed" in line for line in err.splitlines()] == [
        True
    ] * lost
    assert process.returncode == (3 if lost else 0)
    again = ecgfl("ingest", export(1, "wfdb", seconds=120).parent, "--json").json["outcomes"]
    assert again == {"unchanged": 12 - lost} | ({"added": 1} if lost else {})
