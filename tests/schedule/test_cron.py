"""The printed line runs under cron: with a minimal PATH, another HOME, and % as a line end."""

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ecgfl = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
SERVER = "localhost:1"
ODD = "ho me's 100% $HOME"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="cron")


@pytest.fixture
def odd(tmp_path: Path, ecgfl: Ecgfl) -> Path:
    """The home of a site whose name a shell and cron both stumble over."""
    home = tmp_path / ODD
    assert ecgfl("--home", home, "init", "--site", "st-mary").code == 0
    return home


def line_of(ecgfl: Ecgfl, home: Path, *arguments: object) -> str:
    ran = ecgfl("--home", home, "schedule", "cron", "--server", SERVER, *arguments)
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 1
    return str(ran.out.strip())


def run_as_cron(line: str) -> None:
    """What cron does with a line: five fields, the rest up to an unescaped % to sh."""
    command = line.split(" ", 5)[5]
    assert "%" not in command.replace(r"\%", "")
    environment = [
        "env",
        "-i",
        "PATH=/usr/bin:/bin",
        "HOME=/",
        "sh",
        "-c",
        command.replace(r"\%", "%"),
    ]
    subprocess.run(environment, cwd=ROOT, check=False, timeout=60, capture_output=True)


def test_the_line_starts_a_join_in_that_home(odd: Path, ecgfl: Ecgfl) -> None:
    run_as_cron(line_of(ecgfl, odd, "--max-wait", "1s"))
    said = (odd / "join.log").read_text()
    assert "federation.json" in said  # a refusal of join's own
    assert str(odd) in said
    assert stat.S_IMODE((odd / "join.log").stat().st_mode) == 0o600


def test_the_line_says_when_and_how(odd: Path, ecgfl: Ecgfl, tmp_path: Path) -> None:
    line = line_of(
        ecgfl,
        odd,
        "--at",
        "1:05",
        "--max-wait",
        "30m",
        "--max-time",
        "5h",
        "--ca",
        tmp_path / "ca.crt",
    )
    assert line.startswith("5 1 * * * umask 077; ")
    words = shlex.split(line.split(" ", 5)[5].replace(r"\%", "%"))
    assert Path(words[2]) == Path(sys.executable).absolute()
    assert words[words.index("--home") + 1] == str(odd)
    assert words[words.index("join") :][:10] == [
        *("join", "--server", SERVER, "--ca", str(tmp_path / "ca.crt")),
        *("--once", "--max-wait", "30m", "--max-time", "5h"),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--at", "24:00"), "24:00"),
        (("--at", "noon"), "noon"),
        (("--max-wait", "soon"), "soon"),
        (("--max-time", "-1h"), "-1h"),
        (("--server", "nowhere"), "HOST:PORT"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    arguments: tuple[str, str],
    said: str,
) -> None:
    ran = ecgfl("schedule", "cron", "--server", SERVER, *arguments)
    assert ran.code == 2
    assert said in ran.problems[0]


def test_the_proxy_of_this_shell_is_taken_along(
    odd: Path, ecgfl: Ecgfl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://us%40er@proxy.example.org:3128")
    monkeypatch.setenv("NO_PROXY", "near.example.org")
    assert "HTTPS_PROXY" not in line_of(ecgfl, odd)  # this machine
    far = ecgfl("--home", odd, "schedule", "cron", "--server", "far.example.org:8443").out
    assert r"HTTPS_PROXY=http://us\%40er@proxy.example.org:3128 " in far
    assert (
        "HTTPS_PROXY"
        not in ecgfl("--home", odd, "schedule", "cron", "--server", "near.example.org:8443").out
    )


def test_the_proxys_password_is_left_out(
    odd: Path, ecgfl: Ecgfl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:geheim@proxy.example.org:3128")
    ran = ecgfl("--home", odd, "schedule", "cron", "--server", "far.example.org:8443")
    assert "geheim" not in ran.out + ran.err
    assert "HTTPS_PROXY" not in ran.out
    assert "password" in ran.problems[0]


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A crontab program that keeps its table in the returned file; without it there is no table."""
    table, program = tmp_path / "table", tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    quoted = shlex.quote(str(table))
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = -l ]; then [ -f {quoted} ] || '
        f"{{ echo no crontab for me >&2; exit 1; }}; cat {quoted};\n"
        f"else cat > {quoted}; fi\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return table


def test_it_is_installed_beside_what_is_there_and_only_once(
    odd: Path, ecgfl: Ecgfl, crontab: Path
) -> None:
    crontab.write_text("MAILTO=root\n0 3 * * * backup\n")
    first = line_of(ecgfl, odd, "--install")
    assert crontab.read_text().splitlines() == [
        "MAILTO=root",
        "0 3 * * * backup",
        f"# ecgfl join in {odd}",
        first,
    ]
    assert line_of(ecgfl, odd, "--install") == first
    second = line_of(ecgfl, odd, "--install", "--at", "3:30")
    assert crontab.read_text().splitlines() == [
        "MAILTO=root",
        "0 3 * * * backup",
        f"# ecgfl join in {odd}",
        second,
    ]


def test_the_first_line_of_a_user_without_a_table(odd: Path, ecgfl: Ecgfl, crontab: Path) -> None:
    line = line_of(ecgfl, odd, "--install")
    assert crontab.read_text().splitlines()[-1] == line


def test_a_table_that_cannot_be_read_is_left_alone(odd: Path, ecgfl: Ecgfl, crontab: Path) -> None:
    (crontab.parent / "bin" / "crontab").write_text("#!/bin/sh\necho 'not allowed' >&2; exit 1\n")
    ran = ecgfl("--home", odd, "schedule", "cron", "--server", SERVER, "--install")
    assert ran.code == 3
    assert "not allowed" in ran.problems[0]
    assert not crontab.exists()


@pytest.mark.parametrize(("hours", "is_right"), [("08:00-10:00", False), ("22:00-06:00", True)])
def test_doctor_finds_a_line_outside_the_hours(
    odd: Path, ecgfl: Ecgfl, crontab: Path, hours: str, is_right: bool
) -> None:
    crontab.write_text(
        f"MAILTO=root\n{line_of(ecgfl, odd, '--at', '22:30')}\n"
    )  # by hand, without --install
    settings = odd / "site.toml"
    settings.write_text(settings.read_text().replace("[policy]", f'[policy]\nhours = "{hours}"'))
    checks = ecgfl("--home", odd, "doctor", "--json").json["checks"]
    (check,) = [check for check in checks if check["name"] == "schedule"]
    assert (check["problem"] is None) is is_right
    assert "22:30" in (check["state"] if is_right else check["problem"])


def test_a_home_with_a_line_break_is_refused(tmp_path: Path, ecgfl: Ecgfl) -> None:
    home = tmp_path / "ho\nme"
    assert ecgfl("--home", home, "init", "--site", "st-mary").code == 0
    assert ecgfl("--home", home, "schedule", "cron", "--server", SERVER).code == 2


def test_json_carries_the_line(odd: Path, ecgfl: Ecgfl) -> None:
    ran = ecgfl("--home", odd, "schedule", "cron", "--server", SERVER, "--json")
    assert json.loads(ran.out)["line"] == line_of(ecgfl, odd)
