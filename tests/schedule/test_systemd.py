"""systemd finds nothing to complain of, and the service may write in its home only."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ecgfl = Callable[..., Any]
SERVER = "ecg.example.org:8443"
ODD = 'ho me\'s "100%" $HOME'

pytestmark = pytest.mark.skipif(os.name == "nt", reason="systemd")


@pytest.fixture
def written(tmp_path: Path, ecgfl: Ecgfl) -> tuple[Path, Path, Path]:
    """The home, the service and the timer."""
    home, folder = tmp_path / ODD, tmp_path / "units"
    folder.mkdir()
    assert ecgfl("--home", home, "init", "--site", "st-mary").code == 0
    assert (
        ecgfl(
            "--home",
            home,
            "schedule",
            "systemd",
            "--server",
            SERVER,
            "--at",
            "1:05",
            "--write",
            folder,
        ).code
        == 0
    )
    return home, folder / "ecgfl-st-mary.service", folder / "ecgfl-st-mary.timer"


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_systemd_understands_both(written: tuple[Path, Path, Path]) -> None:
    for unit in written[1:]:
        ran = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(unit)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        about = [line for line in ran.stderr.splitlines() if "ecgfl-st-mary" in line]
        assert about == []


def test_paths_are_quoted_for_systemd(written: tuple[Path, Path, Path]) -> None:
    home, service, _ = written
    text = service.read_text()
    found = re.search(r"^ReadWritePaths=\"(.*)\"$", text, re.M)
    assert found is not None
    assert found[1].replace("%%", "%").replace('\\"', '"') == str(home)
    command = re.search(r"^ExecStart=(.*)$", text, re.M)
    assert command is not None
    assert "$$HOME" in command[1]
    assert command[1].startswith("/")
    assert command[1].endswith(f"join --server {SERVER} --once --max-wait 2h --max-time 8h")


@pytest.mark.parametrize(
    "line",
    [
        *(
            "ProtectSystem=strict",
            "NoNewPrivileges=yes",
            "PrivateTmp=yes",
            "CapabilityBoundingSet=",
            "UMask=0077",
        ),
        *("MemoryMax=4G", "Type=oneshot"),
    ],
)
def test_the_service_is_shut_in(written: tuple[Path, Path, Path], line: str) -> None:
    assert line in written[1].read_text().splitlines()


def test_the_timer_has_the_time(written: tuple[Path, Path, Path]) -> None:
    lines = written[2].read_text().splitlines()
    assert "OnCalendar=*-*-* 01:05:00" in lines
    assert any(line.startswith("RandomizedDelaySec=") for line in lines)


def test_without_write_both_are_printed(site: Path, ecgfl: Ecgfl) -> None:  # noqa: ARG001
    ran = ecgfl("schedule", "systemd", "--server", SERVER)
    assert ran.code == 0
    assert "ecgfl-st-mary.service" in ran.out
    assert "[Timer]" in ran.out


def test_a_proxy_is_taken_along_but_not_its_password(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org:3128")
    assert (
        "Environment=HTTPS_PROXY=http://proxy.example.org:3128\n"
        in ecgfl("schedule", "systemd", "--server", SERVER).out
    )
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example.org:3128")
    ran = ecgfl("schedule", "systemd", "--server", SERVER)
    assert "secret" not in ran.out + ran.err
    assert "password" in ran.problems[0]


def test_windows_gets_a_task(site: Path, ecgfl: Ecgfl) -> None:
    ran = ecgfl("schedule", "windows", "--server", SERVER, "--at", "1:05")
    assert ran.code in (0, 2)  # a home too deep for schtasks is told
    if ran.code == 0:
        assert ran.out.startswith("schtasks /Create /SC DAILY /ST 01:05 ")
        assert str(site) in ran.out


@pytest.mark.parametrize("is_file", [False, True])
def test_a_folder_that_is_not_there_is_refused(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    tmp_path: Path,
    is_file: bool,
) -> None:
    folder = tmp_path / "nowhere"
    if is_file:
        folder.write_text("")
    ran = ecgfl("schedule", "systemd", "--server", SERVER, "--write", folder)
    assert ran.code == 2
    assert str(folder) in ran.problems[0]
    assert not folder.is_dir()


@pytest.mark.parametrize("scheduler", ["cron", "systemd", "windows"])
def test_a_time_outside_the_policys_hours_is_refused(
    site: Path, ecgfl: Ecgfl, scheduler: str
) -> None:
    settings = site / "site.toml"
    settings.write_text(settings.read_text().replace("[policy]", '[policy]\nhours = "08:00-10:00"'))
    for at in ("2:00", "10:00", "7:59"):
        ran = ecgfl("schedule", scheduler, "--server", SERVER, "--at", at)
        assert ran.code == 2
        assert "08:00-10:00" in ran.problems[0]
        assert "--at 08:00" in ran.problems[0]
    assert ecgfl("schedule", scheduler, "--server", SERVER, "--at", "08:00").code == 0
    late = ecgfl("schedule", scheduler, "--server", SERVER, "--at", "09:58").code
    assert late == (2 if scheduler == "systemd" else 0), (
        "systemd starts it up to five minutes later"
    )


def test_an_unknown_architecture_is_refused(site: Path, ecgfl: Ecgfl) -> None:
    settings = site / "site.toml"
    settings.write_text(settings.read_text().replace('"beatnet"]', '"ecgnet2"]'))
    ran = ecgfl("schedule", "cron", "--server", SERVER)
    assert ran.code == 2
    assert "'ecgnet2'" in ran.problems[0]
    assert "beatnet, ecgnet" in ran.problems[0]


def test_the_passphrase_is_a_credential(site: Path, ecgfl: Callable[..., Any]) -> None:
    ran = ecgfl("schedule", "systemd", "--server", SERVER, "--passphrase-file", "/etc/100% ours/pw")
    assert "\nLoadCredential=ecgfl-passphrase:/etc/100%% ours/pw\n" in ran.out
    assert site.is_dir()
    assert (
        ecgfl(
            "schedule", "systemd", "--server", SERVER, "--passphrase-file", "/etc/a\nExecStart=b"
        ).code
        == 2
    )
