"""The table of findings in the docs names what the checks can find, and nothing else."""

import re
from dataclasses import fields
from pathlib import Path

import ecgfl_adapters

import ecgfl_cli.quality
import ecgfl_cli.store
from ecgfl_cli.quality.findings import Severity
from ecgfl_cli.quality.limits import Limits

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(Path(ecgfl_cli.quality.__path__[0]).glob("*_checks.py"))
CODE = re.compile(r'(?:Finding|Defect)\(\s*"([a-z0-9-]+)"')


def table(number: int = 0) -> list[list[str]]:
    """The cells of each row of a table in the section, without those of the head."""
    text = (ROOT / "docs" / "hospital.md").read_text()
    section = text.split("## What the checks find", 1)[1].split("\n## ", 1)[0]
    tables = [part for part in section.split("\n\n") if part.startswith("|")]
    return [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in tables[number].splitlines()[2:]
    ]


def test_the_docs_name_each_code_that_a_check_can_give_once() -> None:
    documented = [row[0].strip("`") for row in table()]
    given = {code for source in SOURCES for code in CODE.findall(source.read_text())}
    assert sorted(documented) == sorted(given)


def test_docs_list_each_finding_code_once() -> None:
    documented = [row[0].strip("`") for row in table(1)]
    sources = [
        *Path(ecgfl_adapters.__path__[0]).rglob("*.py"),
        *Path(ecgfl_cli.store.__path__[0]).glob("*.py"),
    ]
    given = {
        code
        for source in sources
        for code in re.findall(r'(?:Finding|Remark)\(\s*"([a-z0-9-]+)"', source.read_text())
    }
    assert sorted(documented) == sorted(given)
    assert {row[1] for row in table(1)} <= {"warning", "info"}


def test_no_check_gives_a_code_that_is_not_written_out() -> None:
    for source in SOURCES:
        text = source.read_text()
        # `Defect` hands its own code on.
        assert len(re.findall(r"\bFinding\(", text)) == len(CODE.findall(text)) - text.count(
            "    Defect(\n"
        ) + text.count("defect.code,\n"), source.name


def test_the_docs_name_every_limit_and_no_other() -> None:
    named = {limit for row in table() for limit in re.findall(r"`([a-z_]+)`", row[3])}
    assert named == {field.name for field in fields(Limits)}


def test_the_docs_give_severities_that_exist() -> None:
    for code, severities, *_ in table():
        assert set(severities.split(", ")) <= {severity.value for severity in Severity}, code
