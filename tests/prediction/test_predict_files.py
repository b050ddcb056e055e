"""The library call behind `ecgfl predict`."""

from pathlib import Path

import pytest
from ecgfl_adapters.registry import adapters

from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.prediction.pipeline import Classifier
from ecgfl_cli.prediction.predict import Output, predict_files
from ecgfl_cli.prediction.writers.registry import writers_of
from ecgfl_cli.store.reading import Reading


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    """A broken file, and a synthetic minute with PVCs."""
    broken = tmp_path / "broken.edf"
    broken.write_bytes(b"0       " + bytes(300))
    good = adapters()["edf"].write(synthesise(1, 60, 250, pvc_share=0.1), tmp_path)[0]
    return [broken, good]


def test_a_broken_file_does_not_stop_the_others(recordings: list[Path], tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    classifier = Classifier(starter_registry(), None)
    results = dict(predict_files(recordings, classifier, Reading()))
    broken, good = (results[path] for path in recordings)
    assert isinstance(broken, str)
    assert str(recordings[0]) in broken
    assert not isinstance(good, str)
    assert good.prediction.ectopy.beats > 30
    assert good.written == []
    assert sorted(tmp_path.iterdir()) == before


def test_results_are_written_to_the_folder_of_each_recording(
    recordings: list[Path], tmp_path: Path
) -> None:
    path = recordings[1]
    output = Output({path: tmp_path / "out"}, writers_of("csv,json"))
    ((_, result),) = predict_files([path], Classifier(starter_registry(), None), Reading(), output)
    assert not isinstance(result, str)
    assert [file.suffix for file in result.written] == [".csv", ".json"]
    assert all(file.is_file() for file in result.written)
