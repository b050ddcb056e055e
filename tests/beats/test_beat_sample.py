"""Which beats of a record are learned from."""

import numpy as np
import pytest

from ecgfl_cli.beats.aami import BeatClass, NoClass
from ecgfl_cli.beats.beats import CONTEXT_FIELDS, MOST_NOISE, Beats
from ecgfl_cli.beats.sample import MOST_OF_A_KIND, learnable, sample


def beats_of(*classes: int) -> Beats:
    beats = len(classes)
    return Beats(
        samples=np.arange(beats) * 100,
        windows=np.ones((beats, 8), dtype=np.float32),
        typical=np.ones((1, 8), dtype=np.float32),
        block=np.zeros(beats, dtype=np.int64),
        noise=np.zeros(beats, dtype=np.float32),
        context=np.zeros((beats, len(CONTEXT_FIELDS)), dtype=np.float32),
        classes=np.array(classes, dtype=np.int8),
        symbols=("",) * beats,
    )


def test_n_s_v_and_what_is_no_beat_are_learned_and_nothing_else() -> None:
    learned = [BeatClass.N, BeatClass.S, BeatClass.V, NoClass.NOT_A_BEAT]
    assert (
        learnable(beats_of(NoClass.UNLABELLED, *learned, BeatClass.F, BeatClass.Q)).classes.tolist()
        == learned
    )


@pytest.mark.parametrize("unreadable", [np.nan, 2 * MOST_NOISE], ids=["gap", "noise"])
def test_an_unreadable_beat_is_not_learned(unreadable: float) -> None:
    beats = beats_of(*[BeatClass.V] * 3)
    beats.noise[1] = unreadable
    assert learnable(beats).samples.tolist() == [0, 200]
    assert sample(beats).samples.tolist() == [0, 200]


def test_sample_limits_common_classes_and_keeps_rare_ones() -> None:
    beats = beats_of(*([BeatClass.N] * 30 + [BeatClass.V]) * 100)
    classes = sample(beats).classes
    assert (classes == BeatClass.N).sum() == MOST_OF_A_KIND
    assert (classes == BeatClass.V).sum() == 100


@pytest.mark.parametrize("place", [0, 1, 7])
@pytest.mark.parametrize(
    "beats", [MOST_OF_A_KIND - 1, MOST_OF_A_KIND, MOST_OF_A_KIND + 1, 1000, 100_003]
)
def test_sample_is_even_ordered_and_without_repetition(beats: int, place: int) -> None:
    found = sample(beats_of(*[BeatClass.N] * beats), place).samples / 100
    assert len(found) == min(beats, MOST_OF_A_KIND)
    steps = np.diff(found)
    assert steps.min() >= max(1, np.floor(beats / MOST_OF_A_KIND))
    assert steps.max() <= np.ceil(beats / MOST_OF_A_KIND)


def test_classes_stay_mixed_in_order_of_time() -> None:
    beats = beats_of(*[BeatClass.V, BeatClass.N, NoClass.NOT_A_BEAT, BeatClass.S] * 5)
    np.testing.assert_array_equal(sample(beats).samples, beats.samples)


def test_each_lead_of_a_record_gives_other_beats() -> None:
    beats = beats_of(*[BeatClass.N] * (3 * MOST_OF_A_KIND))
    chosen = [set(sample(beats, place).samples.tolist()) for place in range(3)]
    assert len(set.union(*chosen)) == 3 * MOST_OF_A_KIND


def test_a_record_without_a_learnable_beat_gives_none() -> None:
    assert len(sample(beats_of())) == len(sample(beats_of(NoClass.UNLABELLED, BeatClass.Q))) == 0
