"""Augmented beats imitate other recorders and keep the shape of the input."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from ecgfl_cli.beats.rr import RR_FIELDS
from ecgfl_cli.models.architecture import DEFAULT, BeatInput, architecture
from ecgfl_cli.training.augmentation import NOISE, RATE_COLUMN, augmented, mixed, noise_samples

LENGTH = architecture(DEFAULT).window.length
R_PEAK = architecture(DEFAULT).window.before
BEATS = 400


def beats() -> dict[BeatInput, Tensor]:
    """One shape, departing from another."""
    shape = torch.exp(-(((torch.arange(LENGTH) - 51) / 4) ** 2)).repeat(BEATS, 1)
    return {"windows": shape, "departures": 0.25 * shape, "context": torch.zeros(BEATS, 17)}


def drawn(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def changed(noise: float = 1.0, seed: int = 0) -> dict[BeatInput, Tensor]:
    return augmented(beats(), R_PEAK, noise * noise_samples(0), drawn(seed))


def test_the_same_seed_changes_the_same_and_another_one_others() -> None:
    first, again, other = changed(seed=3), changed(seed=3), changed(seed=4)
    for name in first:
        assert first[name].shape == beats()[name].shape
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])


def test_the_input_itself_is_left_alone() -> None:
    given = beats()
    augmented(given, R_PEAK, noise_samples(0), drawn(0))
    for name, values in beats().items():
        assert torch.equal(given[name], values)


def test_half_the_beats_are_turned_over_with_their_typical_beat() -> None:
    found = changed(noise=0.0)
    peaks = found["windows"].gather(1, found["windows"].abs().argmax(dim=1, keepdim=True))[:, 0]
    assert 0.4 < float((peaks < 0).float().mean()) < 0.6
    typical = found["windows"] - found["departures"]
    assert torch.equal(torch.sign(typical.sum(dim=1)), torch.sign(peaks))


def test_noise_is_added_to_the_beat_but_not_to_the_typical_beat() -> None:
    quiet, loud = changed(noise=0.0), changed()
    torch.testing.assert_close(
        loud["windows"] - loud["departures"], quiet["windows"] - quiet["departures"]
    )
    added = (loud["windows"] - quiet["windows"]).std(dim=1)
    assert 0 < float(added.mean()) < NOISE


def test_waves_last_longer_or_shorter_about_the_r_peak() -> None:
    found = changed(noise=0.0)
    typical = (found["windows"] - found["departures"]).abs()
    assert (typical.argmax(dim=1) - R_PEAK).abs().max() <= 1
    widths = (typical > 0.5 * typical.amax(dim=1, keepdim=True)).sum(dim=1)
    assert 5 <= int(widths.min()) < 7 < int(widths.max()) <= 10, (
        "half as high for 7 samples as it is"
    )


def test_rate_features_change_more_than_others() -> None:
    assert RR_FIELDS[RATE_COLUMN] == "rate"
    spread = changed()["context"].std(dim=0)
    assert int(spread.argmax()) == RATE_COLUMN


def test_mixed_beats_are_as_much_of_each_kind_as_they_say() -> None:
    target = (torch.arange(BEATS) % 3 == 0).long()
    given = beats()
    given["context"] = target[:, None].float().repeat(1, 17)
    found, shares = mixed(given, target, 2, drawn(0))
    assert shares.shape == (BEATS, 2)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(BEATS))
    torch.testing.assert_close(found["context"][:, 0], shares[:, 1])
    assert np.isin(shares[:, 1].numpy(), (0.0, 1.0)).mean() < 1.0
    assert float(shares[:, 1].mean()) == pytest.approx(float(target.float().mean()), abs=0.05)
