"""What the second look takes for no beat, on humps made for it."""

import numpy as np
import pytest

from ecgfl_cli.beats.qrs_envelope import Candidates
from ecgfl_cli.beats.qrs_second_look import AROUND, evidence, second_look, t_waves

FS = 100.0
PLACE = 20
"""Of the beat in question among 40."""


def humps(seconds: list[float], sizes: list[float]) -> Candidates:
    """Beats, and between each two of them a hump of 0.1 that is none."""
    times = np.array([*seconds, *(np.array(seconds[:-1]) + np.diff(seconds) / 2)])
    heights = np.array([*sizes, *np.full(max(0, len(seconds) - 1), 0.1)])
    order = np.argsort(times)
    return Candidates(
        np.rint(times[order] * FS).astype(np.int64),
        heights[order],
        2 * heights[order],
        heights[order],
    )


def stays(seconds: list[float], sizes: list[float], place: int = PLACE) -> bool:
    """Whether a beat stays. That all others do is asserted."""
    beats = 2 * np.arange(len(seconds))
    kept = second_look(humps(seconds, sizes), beats, FS)
    assert set(beats) - set(kept) <= {2 * place}
    return 2 * place in kept


def rhythm(
    extra: float | None = None, early: float = 0.0, size: float = 1.0
) -> tuple[list[float], list[float]]:
    """Return 40 beats of size 1, one a second, with an extra hump and an early beat."""
    seconds, sizes = [float(second) for second in range(40)], [1.0] * 40
    if extra is None:
        seconds[PLACE], sizes[PLACE] = seconds[PLACE] - early, size
    else:
        seconds.insert(PLACE, PLACE - 1 + extra)
        sizes.insert(PLACE, size)
    return seconds, sizes


@pytest.mark.parametrize("extra", [0.3, 0.5, 0.7])
def test_weak_hump_in_a_complete_rhythm_is_not_a_beat(extra: float) -> None:
    assert not stays(*rhythm(extra=extra, size=0.35))


@pytest.mark.parametrize("size", [0.8, 1.0, 3.0])
def test_an_interpolated_beat_that_is_as_steep_as_others_stays(size: float) -> None:
    assert stays(*rhythm(extra=0.5, size=size))


@pytest.mark.parametrize("early", [0.0, 0.3, 0.5])
def test_a_weak_beat_that_the_rhythm_needs_stays(early: float) -> None:
    """An early PVC with a compensatory pause, half as steep as the beats around."""
    assert stays(*rhythm(early=early, size=0.5))


def test_adjacent_weak_humps_are_not_removed_together() -> None:
    """Both humps would be removed; the smaller one goes first, then the other is checked again."""
    seconds, sizes = rhythm(extra=0.4, size=0.2)
    seconds.insert(PLACE + 1, PLACE - 1 + 0.75)
    sizes.insert(PLACE + 1, 0.3)
    beats = 2 * np.arange(len(seconds))
    assert set(beats) - set(second_look(humps(seconds, sizes), beats, FS)) == {
        2 * PLACE,
        2 * PLACE + 2,
    }


@pytest.mark.parametrize("count", [0, 1, 2, AROUND, AROUND + 1])
def test_few_beats(count: int) -> None:
    """Up to AROUND of them say nothing about what is usual; none or one has no interval."""
    seconds = [float(second) for second in range(count)]
    beats = 2 * np.arange(count)
    assert second_look(humps(seconds, [1.0] * count), beats, FS).tolist() == beats.tolist()


def test_the_evidence_has_the_meaning_it_is_said_to_have() -> None:
    seconds, sizes = rhythm(extra=0.4, size=0.5)
    found = evidence(humps(seconds, sizes), 2 * np.arange(len(seconds)), FS)[PLACE]
    np.testing.assert_allclose(found, np.log([0.5, 1.0, 0.4, 0.1]), atol=1e-9)


def test_the_unit_of_the_lead_makes_no_difference() -> None:
    seconds, sizes = rhythm(extra=0.4, size=0.5)
    made = humps(seconds, sizes)
    beats = 2 * np.arange(len(seconds))
    counts = Candidates(made.samples, made.height * 1e6, made.slope * 1e6, made.sharpness * 1e6)
    np.testing.assert_allclose(evidence(made, beats, FS), evidence(counts, beats, FS), atol=1e-9)


def pairs(delay: float, sharpness: float) -> Candidates:
    """Return 40 beats, one a second, each followed by a wave of the same height and slope."""
    times = np.sort(np.concatenate([np.arange(40.0), np.arange(40.0) + delay]))
    return Candidates(
        np.rint(times * FS).astype(np.int64),
        np.ones(80),
        np.ones(80),
        np.tile([1.0, sharpness], 40),
    )


@pytest.mark.parametrize(("delay", "sharpness"), [(0.25, 0.6), (0.3, 0.4), (0.4, 0.2)])
def test_t_waves_after_every_beat_go(delay: float, sharpness: float) -> None:
    assert second_look(pairs(delay, sharpness), np.arange(80), FS).tolist() == list(range(0, 80, 2))


@pytest.mark.parametrize(
    ("delay", "sharpness"), [(0.3, 0.6), (0.4, 0.3), (0.45, 0.25), (0.5, 0.1), (0.6, 0.1)]
)
def test_bigeminy_stays(delay: float, sharpness: float) -> None:
    """PVCs less sharp than the usual beat, but later than a T wave of that sharpness."""
    assert not t_waves(pairs(delay, sharpness), FS).any()


@pytest.mark.parametrize(("pause", "kept"), [(1.7, True), (0.7, False)])
def test_an_early_blunt_beat_stays_if_a_pause_follows(pause: float, kept: bool) -> None:
    """A PVC 0.3 s after a beat, as early and blunt as a T wave, has a compensatory pause."""
    seconds = [float(second) for second in range(PLACE)]
    seconds += [seconds[-1] + 0.3]
    seconds += [seconds[-1] + pause + second for second in range(40 - PLACE)]
    made = humps(seconds, [0.45 if place == PLACE else 1.0 for place in range(len(seconds))])
    beats = 2 * np.arange(len(seconds))
    assert t_waves(made[beats], FS)[PLACE]
    assert (2 * PLACE in second_look(made, beats, FS)) == kept
