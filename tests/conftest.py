"""Where the real recordings are, and what a test does without them."""

import os
from pathlib import Path

import pytest

DEFAULT_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; skips the test with a reason where there is none."""
    folder = Path(os.environ.get("ECGFL_TEST_DATA", DEFAULT_DATA))
    if not (folder / "mitdb" / "100.hea").is_file():
        pytest.skip(f"real recordings are not in {folder}: set ECGFL_TEST_DATA")
    return folder
