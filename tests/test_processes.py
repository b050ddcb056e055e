"""A process that crashes, hangs or is killed costs the item in hand, and the others go on."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ecgfl_cli.processes import Lost, each_in_a_process

SECONDS = 3.0


def _segfault() -> None:
    import ctypes

    ctypes.string_at(0)


def _hang_in_c() -> None:
    import re

    re.match(r"(a+)+$", "a" * 40 + "b")


def _raise() -> None:
    raise ValueError("of the work")


MISBEHAVIOUR: dict[str, Callable[[], object]] = {
    "exit": lambda: os._exit(7),
    "exit 0": lambda: os._exit(0),
    "abort": os.abort,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": _segfault,
    "hang": lambda: time.sleep(600),
    "hang in C": _hang_in_c,
    "raise": _raise,
    "close": lambda: os.closerange(3, 256),
    "slow": lambda: time.sleep(0.3),
}


def misbehave(what: str) -> str:
    """Runs in a worker."""
    MISBEHAVIOUR.get(what, lambda: None)()
    return what.upper()


def name_itself(what: str) -> int:  # noqa: ARG001
    time.sleep(0.05)
    return os.getpid()


def kill_a_sibling(folder: str) -> str:
    """The first one waits to be killed by the second."""
    waiting = Path(folder) / "waiting"
    try:
        with waiting.open("x") as file:
            file.write(f"{os.getpid()} ")
        time.sleep(600)
    except FileExistsError:
        if not (Path(folder) / "killed").exists():
            while not waiting.read_text().endswith(" "):
                time.sleep(0.01)
            (Path(folder) / "killed").touch()
            os.kill(int(waiting.read_text()), signal.SIGKILL)
    return "done"


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(jobs: int) -> None:
    items = ["slow", "a", "b", "slow", "c", "d"]
    assert list(each_in_a_process(misbehave, items, jobs)) == [item.upper() for item in items]


def test_no_item_starts_no_process() -> None:
    assert list(each_in_a_process(misbehave, [], 2)) == []


CRASHES = ["exit", "exit 0", "abort", "kill", "segfault", "close"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither SIGKILL nor these exit codes")
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_loses_one_item_with_its_exit_code(
    crash: str, jobs: int, capfd: pytest.CaptureFixture[str]
) -> None:
    found = list(each_in_a_process(misbehave, ["a", crash, "b", crash, "c"], jobs))
    assert [found[0], found[2], found[4]] == ["A", "B", "C"]
    codes = {
        "exit": "7",
        "exit 0": "0",
        "abort": "-6",
        "kill": "-9",
        "segfault": "-11",
        "close": "",
    }
    for lost in (found[1], found[3]):
        assert isinstance(lost, Lost)
        assert "crashed" in lost.reason
        assert codes[crash] in lost.reason
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("hang", ["hang", "hang in C"])
def test_hanging_item_is_lost_and_others_continue(hang: str) -> None:
    started = time.monotonic()
    found = list(each_in_a_process(misbehave, ["a", hang, "b", "c"], 2, SECONDS))
    assert [found[0], *found[2:]] == ["A", "B", "C"]
    assert isinstance(found[1], Lost)
    assert f"{SECONDS:g} s" in found[1].reason
    assert time.monotonic() - started < 60


def test_every_item_may_crash() -> None:
    found = list(each_in_a_process(misbehave, ["exit"] * 8, 3))
    assert all(isinstance(each, Lost) for each in found)


def test_exception_in_a_worker_is_raised_and_ends_all_workers() -> None:
    with pytest.raises(ValueError, match="of the work"):
        list(each_in_a_process(misbehave, ["a", "raise", "hang"], 2))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_worker_that_another_kills_costs_one_item(tmp_path: Path) -> None:
    found = list(each_in_a_process(kill_a_sibling, [str(tmp_path)] * 4, 2, 30.0))
    (lost,) = (each for each in found if each != "done")
    assert isinstance(lost, Lost)
    assert "-9" in lost.reason
    assert "memory" in lost.reason


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_worker_that_is_killed_between_two_items_costs_none() -> None:
    found = []
    for pid in each_in_a_process(name_itself, ["x"] * 12, 1):
        found.append(pid)
        if len(found) % 3 == 0:
            time.sleep(2.0)  # by then it has ended its next item, and has no other
            os.kill(pid, signal.SIGKILL)
    assert len(set(found)) == 4
    assert all(isinstance(pid, int) for pid in found)


def test_no_more_processes_than_jobs_or_items() -> None:
    assert len(set(each_in_a_process(name_itself, ["x"] * 12, 3))) <= 3
    assert len(set(each_in_a_process(name_itself, ["x"] * 2, 8))) <= 2


def test_whoever_stops_listening_ends_the_processes() -> None:
    running = each_in_a_process(name_itself, ["x"] * 50, 2)
    pids = [next(running), next(running)]
    running.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
def test_what_a_worker_writes_is_nobody_elses_to_read(tmp_path: Path) -> None:
    (found,) = each_in_a_process(write_a_file, [str(tmp_path / "x")], 1)
    assert found == 0o600


def write_a_file(path: str) -> int:
    Path(path).write_text("x")
    return Path(path).stat().st_mode & 0o777


def test_a_long_path_of_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("a long name " * 10)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    items = ["a", "kill", "b"]
    first, lost, last = each_in_a_process(misbehave, items, jobs=2)
    assert (first, last) == ("A", "B")
    assert isinstance(lost, Lost)
