"""RR context: previous, next and local interval in seconds."""

import numpy as np
import pytest

from ecgfl_cli.beats.rr import rr_context


def test_previous_next_and_local_intervals() -> None:
    peaks = np.cumsum([0, 250, 250, 150, 350, 250, 250])
    found = rr_context(peaks, 250.0)
    np.testing.assert_allclose(found[:, 0], [1.0, 1.0, 1.0, 0.6, 1.4, 1.0, 1.0])
    np.testing.assert_allclose(found[:, 1], [1.0, 1.0, 0.6, 1.4, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(found[:, 2], 1.0)


def test_the_local_interval_follows_the_rhythm() -> None:
    peaks = np.cumsum([0] + [250] * 20 + [125] * 20)
    local = rr_context(peaks, 250.0)[:, 2]
    assert (local[:14] == 1.0).all()
    assert (local[-14:] == 0.5).all()


@pytest.mark.parametrize("beats", [0, 1])
def test_without_an_interval_nothing_is_known(beats: int) -> None:
    found = rr_context(np.arange(beats), 250.0)
    assert found.shape == (beats, 3)
    assert np.isnan(found).all()
