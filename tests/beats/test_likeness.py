"""What a beat's likeness to the other beats of its lead says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgfl_cli.beats.likeness import BLOCK_BEATS, LIKENESS_FIELDS, blocks, likeness, typical_beat
from ecgfl_cli.beats.rr import RR_FIELDS

FS, BEFORE, LENGTH = 128.0, 51, 128
FIELD = {name: place for place, name in enumerate(LIKENESS_FIELDS)}
NARROW = np.exp(-(((np.arange(LENGTH) - BEFORE) / 3) ** 2)).astype(np.float32)
WIDE = (-1.5 * np.exp(-(((np.arange(LENGTH) - BEFORE) / 12) ** 2))).astype(np.float32)


def with_pvcs(
    every: int, count: int = 120
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Windows, rhythm and which are PVCs: wide, early and followed by a pause."""
    is_pvc = np.arange(count) % every == every - 1
    noise = np.random.default_rng(0).normal(0, 0.01, (count, LENGTH))
    windows = np.where(is_pvc[:, None], WIDE, NARROW) + noise
    rr = np.zeros((count, len(RR_FIELDS)), dtype=np.float32)
    rr[is_pvc, 0], rr[is_pvc, 1], rr[is_pvc, 2] = -0.4, 0.3, -0.7
    return windows.astype(np.float32), rr, is_pvc


@pytest.mark.parametrize(
    "beats", [0, 1, 7, BLOCK_BEATS, BLOCK_BEATS + 1, 5 * BLOCK_BEATS + 900, 100_000]
)
def test_blocks_cover_every_beat_once_and_are_nearly_equal(beats: int) -> None:
    found = blocks(beats)
    assert np.concatenate([np.arange(beats)[block] for block in found]).tolist() == list(
        range(beats)
    )
    sizes = [block.stop - block.start for block in found]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 1.5 * BLOCK_BEATS


@pytest.mark.parametrize("every", [2, 3, 10])
def test_the_typical_beat_is_the_one_on_time_even_in_bigeminy(every: int) -> None:
    windows, rr, _ = with_pvcs(every)
    np.testing.assert_allclose(typical_beat(windows, rr), NARROW, atol=0.02)


def test_where_hardly_a_beat_comes_on_time_all_are_typical() -> None:
    windows, rr, _ = with_pvcs(10**6)
    rr[:, 0] = -0.5
    np.testing.assert_allclose(typical_beat(windows, rr), NARROW, atol=0.02)


def test_unreadable_beats_count_for_nothing() -> None:
    windows, rr, is_pvc = with_pvcs(4)
    windows[::5, 3] = np.nan
    typical = typical_beat(windows, rr)
    assert np.isfinite(typical).all()
    found = likeness(windows, typical, rr, FS, BEFORE)
    assert (found[::5] == 0).all()
    readable = np.ones(len(windows), dtype=bool)
    readable[::5] = False
    alone = likeness(windows[readable], typical, rr[readable], FS, BEFORE)
    np.testing.assert_array_equal(found[readable], alone)
    assert is_pvc[readable].any()


def test_without_a_readable_beat_there_is_nothing_to_say() -> None:
    windows = np.full((4, LENGTH), np.nan, dtype=np.float32)
    rr = np.zeros((4, len(RR_FIELDS)), dtype=np.float32)
    assert (typical_beat(windows, rr) == 0).all()
    assert (likeness(windows, typical_beat(windows, rr), rr, FS, BEFORE) == 0).all()


def test_pvcs_are_unusual_and_their_kind_comes_early() -> None:
    windows, rr, is_pvc = with_pvcs(5)
    found = likeness(windows, typical_beat(windows, rr), rr, FS, BEFORE)
    for name in ("unusual", "departure", "distance", "next_of_alike", "prematurity_of_alike"):
        assert found[is_pvc, FIELD[name]].min() > found[~is_pvc, FIELD[name]].max(), name
    for name in ("correlation", "previous_of_alike", "contrast_of_alike", "share_of_alike"):
        assert found[is_pvc, FIELD[name]].max() < found[~is_pvc, FIELD[name]].min(), name
    assert found[is_pvc, FIELD["previous_of_alike"]] == pytest.approx(-0.4, abs=0.01)


def test_a_shape_that_is_the_records_own_is_not_unusual() -> None:
    """The wide beats of a bundle branch block, on time, are their record's typical beat."""
    windows, rr, _ = with_pvcs(1)
    rr[:] = 0
    found = likeness(windows, typical_beat(windows, rr), rr, FS, BEFORE)
    assert found[:, FIELD["correlation"]].min() > 0.99
    assert found[:, FIELD["distance"]].max() < 0.05
