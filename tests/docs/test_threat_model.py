"""The threat model names code and tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
FILES = sorted(set(re.findall(r"`((?:tests|ecgfl_cli|adapters|\.ci)/[\w./-]+)(?:::\w+)?`", TEXT)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TEXT)))
TABLES = re.findall(r"^\| attack \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
ROWS = [row for table in TABLES for row in table.splitlines()]


@pytest.mark.parametrize("name", FILES)
def test_named_file_exists(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize(("file", "test"), TESTS)
def test_named_test_exists(file: str, test: str) -> None:
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:40])
def test_each_attack_has_a_mitigation_a_test_and_what_remains(row: str) -> None:
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 4
    assert all(cells)


def test_the_rows_and_paths_are_found() -> None:
    assert len(ROWS) > 40
    assert len(FILES) > 40
