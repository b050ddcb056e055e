"""Cut beats are read back as they were, or not at all."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from ecgfl_cli.beats.beats import Beats, annotated_beats, detected_beats
from ecgfl_cli.beats.window import Window
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.store.beat_files import (
    are_whole,
    beats_path,
    load_beats,
    load_learned,
    remove_beats,
    save_beats,
)

WINDOW = Window(fs=128, before=51, after=77)


@pytest.fixture(scope="module")
def leads() -> list[Beats]:
    """Labelled and unlabelled beats, some at an end of the signal, and a lead without beats."""
    recording = synthesise(7, 30, 250, pvc_share=0.2)
    found = [
        *annotated_beats(recording, recording.leads, WINDOW),
        *detected_beats(recording, recording.leads[:1], WINDOW),
    ]
    return [*found, found[0].take(np.empty(0, dtype=np.int64))]


def test_the_beats_of_every_lead_are_read_back_as_they_were(
    tmp_path: Path, leads: list[Beats]
) -> None:
    path = beats_path(tmp_path, WINDOW, "r1")
    save_beats(path, leads[0], leads)
    whole, found = load_beats(path), load_learned(path)
    assert whole is not None
    assert found is not None
    assert len(found) == len(leads)
    for now, before in zip((whole, *found), (leads[0], *leads), strict=True):
        assert now.symbols == before.symbols
        for name in {field.name for field in fields(Beats)} - {"symbols"}:
            np.testing.assert_array_equal(getattr(now, name), getattr(before, name), strict=True)


@pytest.mark.parametrize("kept", [0, 5, 500, -1])
def test_a_cut_off_file_is_none(tmp_path: Path, leads: list[Beats], kept: int) -> None:
    path = beats_path(tmp_path, WINDOW, "r1")
    save_beats(path, leads[0], leads)
    path.write_bytes(path.read_bytes()[:kept])
    assert (load_beats(path), load_learned(path), are_whole(path)) == (None, None, False)


def test_a_missing_file_and_one_of_something_else_are_none(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    assert load_beats(tmp_path / "r1.safetensors") is None
    save_file({f"weights{place}": np.zeros(3) for place in range(7)}, tmp_path / "r1.safetensors")
    assert load_beats(tmp_path / "r1.safetensors") is None


def test_beats_of_another_window_are_another_file(tmp_path: Path) -> None:
    windows = [WINDOW, Window(128, 52, 76), Window(128, 51, 78), Window(129, 51, 77)]
    assert len({beats_path(tmp_path, window, "r1") for window in windows}) == len(windows)


def test_removal_covers_every_window_of_one_record_only(tmp_path: Path, leads: list[Beats]) -> None:
    paths = {
        record: [beats_path(tmp_path, window, record) for window in (WINDOW, Window(360, 90, 95))]
        for record in ("r1", "r11")
    }
    for path in (*paths["r1"], *paths["r11"]):
        save_beats(path, leads[0], leads[:1])
    remove_beats(tmp_path, "r1")
    assert [path.exists() for path in (*paths["r1"], *paths["r11"])] == [False, False, True, True]
