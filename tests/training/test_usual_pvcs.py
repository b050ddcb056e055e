"""PVCs that stand for somebody's usual beat."""

from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.discovery import read

from ecgfl_cli.beats.aami import BeatClass
from ecgfl_cli.beats.beats import Beats, annotated_beats
from ecgfl_cli.beats.likeness import LIKENESS_FIELDS
from ecgfl_cli.beats.rr import RR_FIELDS
from ecgfl_cli.beats.sample import learnable
from ecgfl_cli.models.architecture import DEFAULT, architecture
from ecgfl_cli.training.usual_pvcs import FEWEST, MOST, pvcs_as_the_usual_beat

WINDOW = architecture(DEFAULT).window
UNUSUAL, PREVIOUS = len(RR_FIELDS) + LIKENESS_FIELDS.index("unusual"), RR_FIELDS.index("previous")


@pytest.fixture(scope="module")
def beats(real_data: Path) -> Beats:
    record = read(real_data / "mitdb" / "119.hea")
    return learnable(annotated_beats(record, record.leads[:1], WINDOW)[0])


def of_class(beats: Beats, beat_class: BeatClass) -> Beats:
    return beats.take(np.flatnonzero(beats.classes == beat_class))


def test_usual_pvcs_are_normal_beats_on_time_in_their_record(beats: Beats) -> None:
    made = pvcs_as_the_usual_beat(beats, WINDOW)
    assert made is not None
    pvcs, normal = of_class(beats, BeatClass.V), of_class(beats, BeatClass.N)
    assert 0 < len(made) <= MOST
    assert set(made.classes.tolist()) == {BeatClass.N}
    assert set(made.samples.tolist()) <= set(pvcs.samples.tolist())
    assert np.median(made.context[:, UNUSUAL]) < 0.5 < np.median(pvcs.context[:, UNUSUAL])
    assert np.median(made.context[:, PREVIOUS]) == pytest.approx(
        np.median(normal.context[:, PREVIOUS]), abs=0.05
    )
    assert np.median(pvcs.context[:, PREVIOUS]) < -0.3
    assert np.abs(made.departures).mean() < 0.5 * np.abs(pvcs.departures).mean()


@pytest.mark.parametrize("few", [BeatClass.V, BeatClass.N])
def test_a_few_are_no_kind(beats: Beats, few: BeatClass) -> None:
    rest = np.flatnonzero(beats.classes != few)
    kept = np.flatnonzero(beats.classes == few)[: FEWEST - 1]
    assert pvcs_as_the_usual_beat(beats.take(np.sort(np.concatenate((rest, kept)))), WINDOW) is None
