"""Other users of the machine can neither read nor change a home, nor block its use."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.site.private import _require_parent, _require_unreadable, require_private

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="Windows keeps access lists instead of owners and mode bits"
)
Ecgfl = Callable[..., Any]
NOBODY = 65534
as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away"
)


def program(umask: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program in a separate process with a umask."""
    command = [sys.executable, "-m", "ecgfl_cli", *map(str, arguments)]
    return subprocess.run(
        command, umask=umask, capture_output=True, text=True, timeout=120, check=True
    )


def open_to_others(folder: Path) -> list[str]:
    return [
        str(path)
        for path in (folder, *folder.rglob("*"))
        if stat.S_IMODE(path.lstat().st_mode) & 0o077
    ]


def test_under_umask_0_a_home_is_private(tmp_path: Path, export: Any) -> None:
    home = tmp_path / "home"
    program(0, "--home", home, "coordinator", "init", "--name", "localhost")
    federation = home / "coordinator" / "federation.json"
    program(0, "--home", home, "init", "--site", "alice", "--federation", federation)
    program(
        0, "--home", home, "coordinator", "enrol", home / "keys" / "node.pub", "--site", "alice"
    )
    program(0, "--home", home, "ingest", export(1))
    program(0, "--home", home, "segment")
    program(0, "--home", home, "coordinator", "renew", "--new-key")
    assert open_to_others(home) == []


@pytest.mark.parametrize(("umask", "expected"), [(0, 0o644), (0o027, 0o640)])
def test_results_follow_the_umask(tmp_path: Path, export: Any, umask: int, expected: int) -> None:
    out = tmp_path / "results"
    program(umask, "--home", tmp_path / "home", "predict", export(1), "--out", out)
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*") if path.is_file()} == {
        expected
    }


def refused(ecgfl: Ecgfl, *texts: str) -> None:
    ran = ecgfl("segment")
    assert ran.code == 3
    assert len(ran.problems) == 1
    for text in texts:
        assert text in ran.err


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_writable_keys_folder_is_refused(site: Path, ecgfl: Ecgfl, mode: int) -> None:
    (site / "keys").chmod(mode)
    refused(ecgfl, f"chmod -R go-w {site}")
    subprocess.run(["chmod", "-R", "go-w", site], check=True)
    assert ecgfl("segment").code == 0


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o602])
@pytest.mark.parametrize("name", ["node", "secret"])
def test_readable_key_is_refused(site: Path, ecgfl: Ecgfl, mode: int, name: str) -> None:
    (site / "keys" / name).chmod(mode)
    refused(ecgfl, f"chmod 600 {site / 'keys' / name}")


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_writable_home_is_refused(site: Path, ecgfl: Ecgfl, mode: int) -> None:
    site.chmod(mode)
    refused(ecgfl, f"chmod -R go-w {site}")


CONTENT = [
    "site.toml",
    "federation.json",
    "catalogue.sqlite",
    "models",
    "records",
    "beats",
    "keys/node.pub",
    "models/current",
]


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("bit", [0o002, 0o020])
def test_writable_content_is_refused(site: Path, name: str, bit: int) -> None:
    site.chmod(0o755)
    path = site / name
    if not path.exists():
        path.mkdir() if "." not in name and "/" not in name else path.parent.mkdir(exist_ok=True)
        path.touch()
    path.chmod(path.stat().st_mode | bit)
    with pytest.raises(UnusableInput) as refusal:
        require_private(site)
    assert str(path) in refusal.value.problem
    assert f"chmod -R go-w {site}" in refusal.value.fix
    subprocess.run(["chmod", "-R", "go-w", site], check=True)
    require_private(site)


def test_link_to_a_writable_file_is_refused(site: Path, tmp_path: Path) -> None:
    (site / "site.toml").rename(tmp_path / "own settings.toml")
    (site / "site.toml").symlink_to(tmp_path / "own settings.toml")
    (site / "nowhere").symlink_to(tmp_path / "nothing")
    require_private(site)
    (tmp_path / "own settings.toml").chmod(0o666)
    with pytest.raises(UnusableInput) as refusal:
        require_private(site)
    assert refusal.value.fix.startswith(f"Run: chmod go-w '{tmp_path / 'own settings.toml'}'")


@as_root
@pytest.mark.parametrize("name", ["site.toml", "models", "keys/node.pub"])
def test_content_of_another_user_is_refused(site: Path, name: str) -> None:
    (site / "models").mkdir(exist_ok=True)
    os.chown(site / name, NOBODY, NOBODY)
    with pytest.raises(UnusableInput, match="chown -R root"):
        require_private(site)


def test_a_large_store_is_checked_quickly(site: Path) -> None:
    (site / "records").mkdir(exist_ok=True)
    for number in range(5000):
        (site / "records" / f"{number}.json").touch(0o600)
    begin = time.perf_counter()
    require_private(site)
    assert time.perf_counter() - begin < 1


def as_nobody(patch: pytest.MonkeyPatch) -> None:
    """Make ecgfl believe that it runs as another user."""
    for name, value in (("geteuid", NOBODY), ("getegid", NOBODY), ("getgroups", [])):
        patch.setattr(os, name, lambda value=value: value)


@as_root
@pytest.mark.parametrize(
    ("mode", "group", "fix"),
    [(0o640, 0, ""), (0o644, 0, "sudo chown nobody "), (0o644, NOBODY, "sudo chmod 640 ")],
)
def test_server_key_may_belong_to_root(
    home: Path, ecgfl: Ecgfl, mode: int, group: int, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ecgfl("coordinator", "init", "--name", "localhost").code == 0
    key = home / "coordinator" / "server.key"
    key.chmod(mode)
    os.chown(key, 0, group)
    if not fix:
        require_private(home / "coordinator")
        as_nobody(monkeypatch)
        _require_unreadable(key, may_be_roots=True)
        return
    as_nobody(monkeypatch)
    with pytest.raises(UnusableInput) as refusal:
        _require_unreadable(key, may_be_roots=True)
    assert fix in refusal.value.fix


@as_root
@pytest.mark.parametrize(("mode", "owner"), [(0o755, (1, 1)), (0o777, (1, 1)), (0o777, (0, 0))])
def test_fix_never_changes_a_parent_folder_of_others(
    site: Path, mode: int, owner: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.parent.chmod(mode)
    os.chown(site.parent, *owner)
    as_nobody(monkeypatch)
    with pytest.raises(UnusableInput, match="Move the home") as refusal:
        _require_parent(site.parent, site)
    assert "chown" not in refusal.value.fix
    assert "chmod" not in refusal.value.fix, "it would not be allowed"


def test_world_writable_parent_folder_is_refused(site: Path, ecgfl: Ecgfl) -> None:
    site.parent.chmod(0o777)
    refused(ecgfl, f"chmod go-w {site.parent}")
    site.parent.chmod(0o1777)  # with the sticky bit, as /tmp
    assert ecgfl("segment").code == 0


@as_root
@pytest.mark.parametrize("name", ["lock", "keys/node", "keys", "audit.jsonl", "."])
def test_files_of_another_user_are_refused(
    site: Path, ecgfl: Ecgfl, export: Any, name: str
) -> None:
    assert ecgfl("ingest", export(1)).code == 0
    os.chown(site / name, NOBODY, NOBODY)
    refused(ecgfl, "chown")


@pytest.mark.parametrize(
    "name", ["lock", "audit.jsonl", "audit.head", "keys", "keys/node", "keys/secret"]
)
def test_symbolic_link_in_a_home_is_refused(
    site: Path, ecgfl: Ecgfl, export: Any, tmp_path: Path, name: str
) -> None:
    assert ecgfl("ingest", export(1)).code == 0
    (site / name).rename(tmp_path / "elsewhere")
    (site / name).symlink_to(tmp_path / "elsewhere")
    refused(ecgfl, "symbolic link")


def test_lock_is_made_private(site: Path, ecgfl: Ecgfl) -> None:
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
def test_readable_coordinator_files_are_refused(home: Path, ecgfl: Ecgfl, name: str) -> None:
    assert ecgfl("coordinator", "init", "--name", "localhost").code == 0
    path = home / "coordinator" / name
    path.chmod(path.stat().st_mode | 0o066)
    ran = ecgfl("coordinator", "renew")
    assert (ran.code, "chmod" in ran.err) == (3, True)
