"""predict and evaluate on real recordings.

The model saw only synthetic beats: the beats found count here, not their classes.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from ecgfl_adapters.discovery import read
from ecgfl_adapters.label_files import read_labels
from ecgfl_adapters.recording import Recording

from ecgfl_cli.beats.conditioning import condition
from ecgfl_cli.evaluation.annotations import BeatAnnotations
from ecgfl_cli.evaluation.ec57 import compare
from ecgfl_cli.evaluation.report import comparison_dict

pytestmark = pytest.mark.usefixtures("modelled")

Ecgfl = Callable[..., Any]


def test_mitdb_100_has_about_2273_beats(ecgfl: Ecgfl, real_data: Path, tmp_path: Path) -> None:
    assert ecgfl("predict", real_data / "mitdb" / "100.hea", "--out", tmp_path).code == 0
    found = wfdb.rdann(str(tmp_path / "100"), "ecgfl")
    assert found.fs == 360
    assert abs(len(found.sample) - 2273) <= 23
    assert json.loads((tmp_path / "100.ecgfl.json").read_text())["ectopy"]["beats"] == len(
        found.sample
    )


def test_evaluate_equals_the_comparison_of_the_written_file(
    ecgfl: Ecgfl, real_data: Path, tmp_path: Path
) -> None:
    path = real_data / "mitdb" / "119.hea"
    assert ecgfl("predict", path, "--out", tmp_path, "--format", "wfdb").code == 0
    recording = read(path)
    predicted = BeatAnnotations.from_labels(read_labels(tmp_path / "119.ecgfl", recording.fs))
    expected = compare(
        BeatAnnotations.from_labels(recording.labels or ()),
        predicted,
        recording.fs,
        recording.length,
    )
    gross = ecgfl("evaluate", path, "--json").json["gross"]
    assert gross == comparison_dict(expected)
    assert gross["qrs_sensitivity"] > 0.99


def test_an_uncalibrated_record_is_predicted(ecgfl: Ecgfl, real_data: Path, tmp_path: Path) -> None:
    """svdb 821 states gain 0; the scale of a window cancels out."""
    assert ecgfl("predict", real_data / "svdb" / "821.hea", "--out", tmp_path).code == 0
    assert len(wfdb.rdann(str(tmp_path / "821"), "ecgfl").sample) > 1000


def with_tall_t_waves(recording: Recording, times: float) -> Recording:
    """Return the first lead, with the 0.4 s after each labelled QRS scaled by a factor."""
    lead = recording.leads[0]
    samples = condition(lead.samples, recording.fs, recording.fs)
    gain = np.ones_like(samples)
    shape = 1 + (times - 1) * np.hanning(round(0.4 * recording.fs))
    for label in recording.labels or ():
        start = label.sample + round(0.09 * recording.fs)
        part = gain[start : start + shape.size]
        part[:] = shape[: part.size]
    return replace(recording, leads=(replace(lead, samples=samples * gain),), labels=None)


@pytest.mark.parametrize(("times", "codes"), [(1.0, []), (3.0, ["rate-doubled"])])
def test_t_waves_counted_as_beats_are_a_finding(
    ecgfl: Ecgfl, export: Any, real_data: Path, tmp_path: Path, times: float, codes: list[str]
) -> None:
    """No rule tells T waves as sharp as QRS complexes apart. sele0111 has 907 beats."""
    recording = with_tall_t_waves(read(real_data / "qtdb" / "sele0111.hea"), times)
    (result,) = ecgfl("predict", export(recording, "csv"), "--out", tmp_path, "--json").json[
        "recordings"
    ]
    assert [each["code"] for each in result["findings"]] == codes
    assert (result["ectopy"]["beats"] > 1200) == bool(codes)
