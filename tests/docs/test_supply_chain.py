"""What ecgfl depends on is pinned with hashes, and its licences are listed."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEPENDENCIES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "dependencies"
]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINNED = re.findall(
    r"^([a-z0-9-]+)==([^ ;]+)[^\\\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    LOCK,
    re.M,
)


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return found[0].lower()


def test_every_line_of_the_lock_is_a_pin_with_hashes() -> None:
    pins = [line for line in LOCK.splitlines() if line and not line.startswith(("#", " "))]
    assert len(pins) == len(PINNED)
    assert len(pins) > 50


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_each_dependency_is_pinned(dependency: str) -> None:
    assert name_of(dependency) in {name for name, _, _ in PINNED}


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_each_dependency_has_its_licence_listed(dependency: str) -> None:
    table = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    listed = {
        row.split("|")[1].strip().lower() for row in table.splitlines() if row.startswith("| ")
    }
    assert name_of(dependency) in listed


def test_no_cuda() -> None:
    assert not [name for name, _, _ in PINNED if name.startswith(("nvidia-", "cuda-", "triton"))]
