"""`ecgfl demo` runs three hospitals and a coordinator in less than three minutes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import wfdb
from log_lines import PREFIX

pytestmark = pytest.mark.slow
LONGEST_SECONDS = 900.0

RECORDS = (
    *("100", "106", "114", "116", "119", "200", "203", "207"),
    *("208", "210", "213", "214", "215", "221", "228", "233"),
)
"""Records of mitdb; all but 100 have at least 20 PVCs in their first 8 minutes."""
EXCERPT_SECONDS = 8 * 60


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ecgfl_cli", "demo", *arguments]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended


def test_demo_shows_rounds_and_result_and_says_synthetic(
    tmp_path: Path,
) -> None:
    ended = demo("--keep", str(tmp_path / "demo"))
    assert "synthetic" in ended.stderr
    for name in ("north-clinic", "city-hospital", "st-mary"):
        assert f"{name} ingested 4 recordings" in ended.stderr
        assert f"{name}: round 5 of 5: model" in ended.stderr
        assert (tmp_path / "demo" / name / "models" / "current").is_file()
    for number in range(1, 6):
        assert f"coordinator: round {number} of 5: model" in ended.stderr
    for column in (
        "round",
        "sensitivity %",
        "burden %",
        "PVCs/h",
        "couplets",
        "VEB Se %",
        "VEB +P %",
    ):
        assert column in ended.stdout


def check_result(result: dict[str, Any], synthetic: bool) -> None:
    assert (result["schema"], result["status"], result["synthetic"]) == (
        "ecgfl.demo/1",
        "ok",
        synthetic,
    )
    assert [each["round"] for each in result["run"]["rounds"]] == [1, 2, 3, 4, 5]
    assert all(len(each["sites"]) == 3 for each in result["run"]["rounds"])
    assert result["prediction"]["ectopy"]["beats"] > 100
    assert result["seconds"] < LONGEST_SECONDS


@pytest.fixture
def excerpts(real_data: Path, tmp_path: Path) -> Path:
    """A folder with the beginning of each of `RECORDS`: training takes a quarter of the time."""
    folder = tmp_path / "excerpts"
    folder.mkdir()
    for name in RECORDS:
        path = str(real_data / "mitdb" / name)
        samples = EXCERPT_SECONDS * 360
        record = wfdb.rdrecord(path, sampto=samples, physical=False)
        wfdb.wrsamp(
            name,
            record.fs,
            record.units,
            record.sig_name,
            d_signal=record.d_signal,
            fmt=record.fmt,
            adc_gain=record.adc_gain,
            baseline=record.baseline,
            comments=record.comments,
            write_dir=str(folder),
        )
        labels = wfdb.rdann(path, "atr", sampto=samples)
        wfdb.wrann(
            name,
            "atr",
            labels.sample,
            labels.symbol,
            aux_note=labels.aux_note,
            write_dir=str(folder),
        )
    return folder


def test_the_demo_on_real_recordings(excerpts: Path) -> None:
    ended = demo("--json", "--data", str(excerpts))
    assert "synthetic" not in ended.stderr
    assert "ecgfl-demo-" not in ended.stdout + ended.stderr, "a path in the folder that is removed"
    check_result(json.loads(ended.stdout), synthetic=False)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ecgfl_cli", "demo", "--data", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 3
    lines = PREFIX.sub("", ended.stderr).splitlines()
    assert [line for line in lines if line.startswith("ecgfl: ")] == lines[-1:]
