"""Hostile names in files and of files are escaped, and do not end a batch."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ecgfl_adapters.discovery import read
from ecgfl_adapters.file_names import safe_name
from ecgfl_adapters.registry import adapters
from ecgfl_adapters.tables.writer import csv_cell

from ecgfl_cli.console import Console
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.printable import printable
from ecgfl_cli.reports.render import render
from ecgfl_cli.site.home import Home

Ecgfl = Callable[..., Any]
posix = pytest.mark.skipif(os.name == "nt", reason="Windows does not allow these names")

NOT_UTF8 = os.fsdecode(b"M\xfcller")
"""A name as it appears in a folder of an old Windows share."""

NAMES = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31m",
    "two\nlines",
    "tab\there",
    "[red]bold",
    "[link=file:x]click",
    "\u202egnp",
    "zero\u200bwidth",
    NOT_UTF8,
    "=1+1",
    "CON",
    "trailing. ",
]


def assert_plain(*texts: str) -> None:
    """Check that every line has only characters that a terminal shows."""
    for text in texts:
        assert [line for line in text.split("\n") if not line.isprintable()] == []


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """Return a folder in which every name is hostile and every recording is good."""
    folder = tmp_path / "share"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        made = adapters()["edf"].write(synthesise(number, 40, 250, pvc_share=0.1), tmp_path)[0]
        (folder / name).mkdir()
        shutil.move(made, folder / name / f"{name}.edf")
    return folder


@posix
@pytest.mark.slow
def test_hostile_file_names_are_escaped(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    share: Path,
    tmp_path: Path,
) -> None:
    files = {str(share / name / f"{name}.edf") for name in NAMES}
    ran = ecgfl("ingest", share)
    assert ran.code == 0, ran
    assert_plain(ran.out, ran.err)
    found = ecgfl("ingest", share, "--json").json
    assert {each["file"] for each in found["recordings"]} == files
    assert len({each["record"] for each in found["recordings"]}) == len(NAMES)
    ran = ecgfl("validate", share, "--patient", "x")
    assert_plain(ran.out, ran.err)
    ran = ecgfl("predict", share, "--out", tmp_path / "out")
    assert_plain(ran.out, ran.err)
    results = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(results) == 4 * len(NAMES)
    assert all(
        safe_name(each) == each
        for path in results
        for each in path.relative_to(tmp_path / "out").parts
    )
    for path in results:
        if path.suffix == ".json":
            json.loads(path.read_bytes().decode("utf-8"))


@posix
@pytest.mark.parametrize("name", NAMES)
def test_hostile_name_of_a_missing_file_is_escaped(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    tmp_path: Path,
    name: str,
) -> None:
    for verb in ("ingest", "predict", "evaluate", "validate"):
        ran = ecgfl(verb, tmp_path / f"{name}.edf")
        assert ran.code == 3
        assert_plain(ran.out, ran.err)
        assert len(ran.err.splitlines()) == 1
    ran = ecgfl(name)
    assert ran.code == 2
    assert_plain(ran.out, ran.err)


HOSTILE = "\x1b[31m\u202e[red]\x9b"


@posix
def test_hostile_texts_in_files_are_escaped(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    header = export(1)
    shutil.copy(header.with_suffix(".dat"), folder / "a.dat")
    length = header.with_suffix(".dat").stat().st_size // 2
    (folder / "a.hea").write_text(
        f"a 1 250 {length}\na.dat 16 200/{HOSTILE} 16 0 0 0 0 II{HOSTILE}\n"
    )
    (folder / "b.hea").write_text(
        f"b 1 250 {length}\na.dat 16 200/mV 16 0 0 0 0 II{HOSTILE}\n# Patient ID: {HOSTILE}\n"
    )
    (folder / "b.labels.csv").write_text(f"sample,symbol\n5,{HOSTILE}\n")
    (folder / "c.csv").write_text(
        f"time_s,II{HOSTILE} (mV),V1{HOSTILE} ({HOSTILE})\n" + "0,x\n" * 9
    )
    edf = export(2, "edf").read_bytes()
    (folder / "d.edf").write_bytes(
        edf[:8]
        + HOSTILE.encode().ljust(80)
        + edf[88:256]
        + b"ECG \x1b[31m\xff".ljust(16)
        + edf[272:]
    )
    for command in (
        ("ingest", folder),
        ("validate", folder),
        ("ingest", folder / "c.csv", "--explain"),
    ):
        ran = ecgfl(*command)
        assert ran.code == 3
        assert_plain(ran.out, ran.err)
        assert ecgfl(*command, "--json").json["status"] == "error"
    assert {each["lead"] for each in ecgfl("dataset", "list", "--json").json["recordings"]} != set()
    ran = ecgfl("dataset", "list")
    assert_plain(ran.out, ran.err)


def test_console_escapes_all_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    console = Console(Home(tmp_path))
    for write in (console.say, console.problem, console.text):
        write(f"{HOSTILE}\n{NOT_UTF8}")
    console.table(f"t{HOSTILE}", ("a ", "b"), [(HOSTILE, 1), (NOT_UTF8, 2)], footer=(HOSTILE, 3))
    console.block(f"one{HOSTILE}\ntwo")
    out, err = capsys.readouterr()
    assert_plain(out, err)
    assert len(err.splitlines()) == 2
    console.json = True
    console.result(name=NOT_UTF8, path=tmp_path / HOSTILE)
    line = capsys.readouterr().out
    assert json.loads(line.encode("utf-8"))["name"] == NOT_UTF8


@pytest.mark.parametrize("text", [*NAMES, "Müller", "50 µV", "心電図", "a\\b"])
def test_printable_text_is_escaped_once(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    assert (printable(text) == text) == text.isprintable()


def test_a_page_is_valid_utf8() -> None:
    made = render(
        "comparison.html",
        title=NOT_UTF8,
        strategies=[],
        charts=[],
        runs=[(f"<script>{HOSTILE}{NOT_UTF8}",)],
        reports=[],
    )
    text = made.encode("utf-8").decode("utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_spreadsheet_formula_is_escaped(tmp_path: Path, start: str) -> None:
    recording = synthesise(1, 20, 250, pvc_share=0.1)
    lead = replace(recording.leads[0], name=f'{start}HYPERLINK("x")')
    path = adapters()["csv"].write(replace(recording, leads=(lead,)), tmp_path)[0]
    assert f"'{start}HYPERLINK".encode() in path.read_bytes()
    assert csv_cell(f"{start}1") == f"'{start}1"
    if start != "\r":  # a table with a line break in a title is not read
        assert read(path).length == recording.length


@posix
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", os.fsdecode(b"M\xfcller\xe9.edf")],
        ["m\u00fcller"],
        ["--help"],
        ["model", "list"],
    ],
)
@pytest.mark.parametrize("stdout", ["ascii", "/dev/full", "closed", "small"])
def test_unwritable_stream_causes_no_traceback(
    site: Path, arguments: list[str], stdout: str, tmp_path: Path
) -> None:
    command = " ".join(f"'{argument}'" for argument in arguments)
    redirect = {
        "closed": ">&-",
        "ascii": "",
        "/dev/full": ">/dev/full",
        "small": f">{tmp_path / 'out'}",
    }[stdout]
    limit = "ulimit -f 0; " if stdout == "small" else ""
    environment = {
        **os.environ,
        "PYTHONIOENCODING": "ascii",
        "LC_ALL": "C",
        "ECGFL_HOME": str(site),
    }
    ran = subprocess.run(
        ["bash", "-c", f"{limit}{sys.executable} -m ecgfl_cli {command} {redirect}"],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert ran.returncode in {0, 2, 3}, ran
    assert b"Traceback" not in ran.stderr
    assert ran.stderr.isascii()


@posix
def test_a_log_warning_is_escaped(tmp_path: Path) -> None:
    program = (
        "import logging, warnings, sys\n"
        "from ecgfl_cli.console import prepare_streams\n"
        "prepare_streams()\n"
        "logging.getLogger('x').warning('a\\x1b[31m%s', sys.argv[1])\n"
        "warnings.warn('b\\x1b[31m')\n"
        "raise ValueError('c\\x1b[31m')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, os.fsdecode(b"\xfc")],
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    assert b"\x1b" not in ran.stderr
    assert rb"a\x1b[31m\udcfc" in ran.stderr
    assert rb"b\x1b[31m" in ran.stderr
    assert rb"ValueError: c\x1b[31m" in ran.stderr


@posix
def test_colliding_names_get_separate_files(modelled: Path, ecgfl: Ecgfl, tmp_path: Path) -> None:  # noqa: ARG001
    folder = tmp_path / "share"
    folder.mkdir()
    for number, name in enumerate(("a:b", "a_b", "a?b", "nul", "x" * 240, "x" * 239 + "y")):
        made = adapters()["edf"].write(synthesise(number, 40, 250, pvc_share=0.1), tmp_path)[0]
        made.rename(folder / f"{name}.edf")
    ran = ecgfl("predict", folder, "--out", tmp_path / "out", "--json")
    written = [path for each in ran.json["recordings"] for path in each["written"]]
    assert len(written) == len(set(map(str.casefold, written))) == 18
    assert all(Path(path).parent == tmp_path / "out" and Path(path).is_file() for path in written)
    for name in ("R", "r"):
        shutil.copy(folder / "a_b.edf", folder / f"{name}.edf")
    ran = ecgfl("predict", folder / "R.edf", folder / "r.edf", "--out", tmp_path / "case")
    assert ran.code == 2
    assert not (tmp_path / "case").exists()


def test_lone_surrogate_in_a_header_is_handled(site: Path, ecgfl: Ecgfl, tmp_path: Path) -> None:  # noqa: ARG001
    header = {
        "d": {
            "column": ["nSeq", "A\ud800"],
            "sensor": ["ECG\ud800"],
            "sampling rate": 1000,
            "resolution": [16, 16],
        }
    }
    rows = "".join(f"{number % 16}\t{number % 50 + 100}\t\n" for number in range(40_000))
    path = tmp_path / "opensignals.txt"
    path.write_text(
        f"# OpenSignals Text File Format\n# {json.dumps(header)}\n# EndOfHeader\n{rows}"
    )
    ran = ecgfl("ingest", path, "--lead", "A?", "--units", "adc:21845:32768")
    assert ran.code in {0, 3}
    assert len(ran.problems) <= 1


@posix
def test_too_long_name_is_refused(site: Path, ecgfl: Ecgfl, export: Any, tmp_path: Path) -> None:  # noqa: ARG001
    good = export(1)
    bad = [
        tmp_path / f"{'x' * 5000}.edf",
        tmp_path / ("y" * 300),
        Path("/".join(["z" * 200] * 30)) / "a.hea",
    ]
    ran = ecgfl("ingest", *bad, good, "--json")
    assert ran.code == 3
    assert ran.json["outcomes"] == {"unreadable": len(bad), "added": 1}
    for verb in ("predict", "evaluate", "validate"):
        assert len(ecgfl(verb, *bad).problems) == len(bad)
