"""Other users of the machine can neither read nor change a home, nor keep others from using it."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows keeps access lists instead of owners and mode bits")
Ecgfl = Callable[..., Any]
NOBODY = 65534
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")


def program(umask: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own that was started with a umask."""
    command = [sys.executable, "-m", "ecgfl_cli", *map(str, arguments)]
    return subprocess.run(command, umask=umask, capture_output=True, text=True, timeout=120, check=True)


def open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in (folder, *folder.rglob("*")) if stat.S_IMODE(path.lstat().st_mode) & 0o077]


def test_under_umask_0_a_home_is_private(tmp_path: Path, export: Any) -> None:
    home = tmp_path / "home"
    program(0, "--home", home, "coordinator", "init", "--name", "localhost")
    federation = home / "coordinator" / "federation.json"
    program(0, "--home", home, "init", "--site", "alice", "--federation", federation)
    program(0, "--home", home, "coordinator", "enrol", home / "keys" / "node.pub", "--site", "alice")
    program(0, "--home", home, "ingest", export(1))
    program(0, "--home", home, "segment")
    program(0, "--home", home, "coordinator", "renew", "--new-key")
    assert open_to_others(home) == []


@pytest.mark.parametrize(("umask", "expected"), [(0, 0o644), (0o027, 0o640)])
def test_results_have_the_users_own_mode(tmp_path: Path, export: Any, umask: int, expected: int) -> None:
    out = tmp_path / "results"
    program(umask, "--home", tmp_path / "home", "predict", export(1), "--out", out)
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*") if path.is_file()} == {expected}


def refused(ecgfl: Ecgfl, *said: str) -> None:
    ran = ecgfl("segment")
    assert ran.code == 3
    assert len(ran.problems) == 1
    for text in said:
        assert text in ran.err


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_a_writable_keys_folder(site: Path, ecgfl: Ecgfl, mode: int) -> None:
    (site / "keys").chmod(mode)
    refused(ecgfl, f"chmod -R go-w {site}")
    subprocess.run(["chmod", "-R", "go-w", site], check=True)
    assert ecgfl("segment").code == 0


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o602])
@pytest.mark.parametrize("name", ["node", "secret"])
def test_a_readable_key(site: Path, ecgfl: Ecgfl, mode: int, name: str) -> None:
    (site / "keys" / name).chmod(mode)
    refused(ecgfl, f"chmod 600 {site / 'keys' / name}")


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_writable_home(site: Path, ecgfl: Ecgfl, mode: int) -> None:
    site.chmod(mode)
    refused(ecgfl, f"chmod -R go-w {site}")


def test_a_folder_above_that_everybody_can_write(site: Path, ecgfl: Ecgfl) -> None:
    site.parent.chmod(0o777)
    refused(ecgfl, f"chmod go-w {site.parent}")
    site.parent.chmod(0o1777)  # with the sticky bit, as /tmp
    assert ecgfl("segment").code == 0


@as_root
@pytest.mark.parametrize("name", ["lock", "keys/node", "keys", "audit.jsonl", "."])
def test_what_belongs_to_somebody_else(site: Path, ecgfl: Ecgfl, export: Any, name: str) -> None:
    assert ecgfl("ingest", export(1)).code == 0
    os.chown(site / name, NOBODY, NOBODY)
    refused(ecgfl, "chown")


@pytest.mark.parametrize("name", ["lock", "audit.jsonl", "audit.head", "keys", "keys/node", "keys/secret"])
def test_a_link(site: Path, ecgfl: Ecgfl, export: Any, tmp_path: Path, name: str) -> None:
    assert ecgfl("ingest", export(1)).code == 0
    (site / name).rename(tmp_path / "elsewhere")
    (site / name).symlink_to(tmp_path / "elsewhere")
    refused(ecgfl, "symbolic link")


def test_a_lock_becomes_private(site: Path, ecgfl: Ecgfl) -> None:
    site.chmod(0o755)
    (site / "lock").touch()
    (site / "lock").chmod(0o666)
    assert ecgfl("segment").code == 0
    assert stat.S_IMODE((site / "lock").stat().st_mode) == 0o600


@as_root
def test_another_user_cannot_hold_the_lock(site: Path, ecgfl: Ecgfl) -> None:
    assert ecgfl("segment").code == 0
    for folder in (site, *site.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    child = os.fork()
    if child == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os._exit(os.access(site / "lock", os.R_OK) or os.access(site / "lock", os.W_OK))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("name", ["sites", "signing.key", "ca.key", "server.key", "."])
def test_a_coordinators_home(home: Path, ecgfl: Ecgfl, name: str) -> None:
    assert ecgfl("coordinator", "init", "--name", "localhost").code == 0
    path = home / "coordinator" / name
    path.chmod(path.stat().st_mode | 0o066)
    ran = ecgfl("coordinator", "renew")
    assert (ran.code, "chmod" in ran.err) == (3, True)
