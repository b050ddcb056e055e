"""Where beats are cut, and in what unit."""

from dataclasses import replace

import numpy as np
import pytest
from ecgfl_adapters.recording import BeatLabel, Recording

from ecgfl_cli.beats.aami import BeatClass, NoClass
from ecgfl_cli.beats.beats import CONTEXT_FIELDS, annotated_beats, detected_beats
from ecgfl_cli.beats.window import Window
from ecgfl_cli.demo.synthesiser import synthesise

WINDOW = Window(fs=360, before=90, after=95)


@pytest.fixture(scope="module")
def clean() -> Recording:
    return synthesise(3, 120, 250, pvc_share=0.1)


def changed(recording: Recording, samples: np.ndarray) -> Recording:
    return replace(
        recording, leads=(replace(recording.leads[0], samples=samples.astype(np.float32)),)
    )


@pytest.mark.parametrize("fs", [128, 250, 360])
def test_annotated_and_detected_beats_have_the_same_cut(fs: int) -> None:
    recording = synthesise(3, 120, fs, pvc_share=0.1)
    annotated = annotated_beats(recording, recording.leads[:1], WINDOW)[0]
    detected = detected_beats(recording, recording.leads[:1], WINDOW)[0]
    common, ours, theirs = np.intersect1d(annotated.samples, detected.samples, return_indices=True)
    assert common.size >= 0.98 * max(annotated.samples.size, detected.samples.size)
    differences = np.abs(annotated.windows[ours] - detected.windows[theirs])
    assert (
        np.nanmax(differences) < 0.02
    )  # the unit is a median, over beats of which one may be missed


def test_labels_become_classes_and_keep_their_symbols(clean: Recording) -> None:
    labels = [
        label._replace(symbol="L") if label.symbol == "N" else label for label in clean.labels or ()
    ]
    labels.insert(3, BeatLabel(labels[2].sample + 20, "+"))
    beats = annotated_beats(replace(clean, labels=tuple(labels)), clean.leads[:1], WINDOW)[0]
    assert set(beats.symbols) == {"L", "V"}
    assert beats.samples.size == len(clean.labels or ())
    assert [BeatClass(code).name for code in beats.classes] == [
        "V" if symbol == "V" else "N" for symbol in beats.symbols
    ]


def test_detected_beats_have_no_class(clean: Recording) -> None:
    beats = detected_beats(clean, clean.leads[:1], WINDOW)[0]
    assert set(beats.classes.tolist()) == {NoClass.UNLABELLED}
    assert set(beats.symbols) == {""}


def test_labels_outside_the_signal_are_left_out(clean: Recording) -> None:
    labels = (
        BeatLabel(-4, "N"),
        *(clean.labels or ()),
        BeatLabel(clean.length, "V"),
        BeatLabel(clean.length + 900, "N"),
    )
    beats = annotated_beats(replace(clean, labels=labels), clean.leads[:1], WINDOW)[0]
    assert beats.samples.size == len(clean.labels or ())


def test_the_r_peak_stands_at_its_place_in_the_window(clean: Recording) -> None:
    beats = detected_beats(clean, clean.leads[:1], WINDOW)[0]
    windows = beats.windows[beats.readable]
    assert windows.shape[1] == 185
    assert (np.abs(windows)[:, 61:120].argmax(axis=1) + 61 == 90).all()
    assert np.median(np.abs(windows[:, 90])) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_windows_do_not_depend_on_the_gain(clean: Recording, factor: float) -> None:
    louder = changed(clean, clean.leads[0].samples * factor)
    one, other = (
        detected_beats(recording, recording.leads[:1], WINDOW)[0] for recording in (clean, louder)
    )
    np.testing.assert_array_equal(one.samples, other.samples)
    np.testing.assert_allclose(one.windows, other.windows, atol=1e-4)


def test_a_lead_without_qrs_is_not_blown_up_to_look_like_one(clean: Recording) -> None:
    faint = changed(clean, clean.leads[0].samples * 1e-4)
    assert not annotated_beats(faint, faint.leads[:1], WINDOW)[0].readable.any()


@pytest.mark.parametrize("left", [0.0, 0.01], ids=["flat", "hiss"])
def test_lead_is_unreadable_only_while_it_is_off(clean: Recording, left: float) -> None:
    """The lead is off for half of the recording; the rest determines its typical R peak."""
    off = np.arange(clean.length) < clean.length // 2
    hiss = np.random.default_rng(1).normal(0, left, clean.length)
    lead = clean.leads[0]
    partly = replace(lead, name="V5", samples=np.where(off, hiss, lead.samples).astype(np.float32))
    whole, beats = detected_beats(replace(clean, leads=(lead, partly)), (lead, partly), WINDOW)
    margin = round(1.5 * clean.fs)
    early, late = (
        beats.samples < clean.length // 2 - margin,
        beats.samples > clean.length // 2 + margin,
    )
    assert early.sum() > 10
    assert not beats.readable[early].any()
    np.testing.assert_array_equal(beats.readable[late], whole.readable[late])
    np.testing.assert_allclose(
        beats.windows[late][beats.readable[late]],
        whole.windows[late][beats.readable[late]],
        atol=0.05,
    )


def test_a_window_that_touches_a_gap_is_unreadable_and_no_other(clean: Recording) -> None:
    whole = annotated_beats(clean, clean.leads[:1], WINDOW)[0]
    peak = int(whole.samples[40])
    samples = clean.leads[0].samples.copy()
    samples[peak + 50 : peak + 70] = np.nan  # 0.2 s behind the R peak, inside the window's 0.264 s
    beats = annotated_beats(gapped := changed(clean, samples), gapped.leads[:1], WINDOW)[0]
    assert set(np.flatnonzero(~beats.readable)) - set(np.flatnonzero(~whole.readable)) == {40}


def test_a_window_over_the_recordings_end_is_unreadable(clean: Recording) -> None:
    peak = int(annotated_beats(clean, clean.leads[:1], WINDOW)[0].samples[10])
    cut = changed(clean, clean.leads[0].samples[: peak + 60])
    cut = replace(
        cut, labels=tuple(label for label in clean.labels or () if label.sample < cut.length)
    )
    beats = annotated_beats(cut, cut.leads[:1], WINDOW)[0]
    assert beats.samples[-1] == pytest.approx(peak, abs=1)
    assert beats.readable[1:-1].all()
    assert not beats.readable[-1]


@pytest.mark.parametrize("fs", [100, 128, 200, 250])
def test_a_beat_at_the_very_end_lies_inside_the_recording(fs: int) -> None:
    recording = synthesise(3, 30, fs)
    for label in (recording.labels or ())[-8:]:
        cut = changed(recording, recording.leads[0].samples[: label.sample + 1])
        assert detected_beats(cut, cut.leads[:1], WINDOW)[0].samples.max() < cut.length
        marked = replace(cut, labels=(label,))
        assert annotated_beats(marked, marked.leads[:1], WINDOW)[0].samples.max() < cut.length


def test_no_beats_make_empty_arrays() -> None:
    silent = synthesise(1, 12, 250)
    silent = changed(silent, np.full(3000, np.nan))
    beats = detected_beats(silent, silent.leads[:1], WINDOW)[0]
    assert beats.windows.shape == (0, 185)
    assert beats.departures.shape == (0, 185)
    assert beats.context.shape == (0, len(CONTEXT_FIELDS))


def test_departures_cancel_what_every_beat_has(clean: Recording) -> None:
    beats = annotated_beats(clean, clean.leads[:1], WINDOW)[0]
    size = np.nanmean(np.abs(beats.departures), axis=1)
    assert (
        np.nanmedian(size[beats.classes == BeatClass.N])
        < 0.1
        < np.nanmedian(size[beats.classes == BeatClass.V])
    )


def test_a_window_is_named_after_everything_that_decides_the_cut() -> None:
    keys = {
        Window(fs, before, after).key
        for fs in (250, 360)
        for before in (90, 91)
        for after in (95, 96)
    }
    assert len(keys) == 8


def test_inverted_lead_has_inverted_windows(clean: Recording) -> None:
    turned = changed(clean, -clean.leads[0].samples)
    one, other = (
        annotated_beats(recording, recording.leads[:1], WINDOW)[0] for recording in (clean, turned)
    )
    np.testing.assert_array_equal(one.samples, other.samples)
    np.testing.assert_allclose(one.windows, -other.windows, atol=1e-4)


def test_a_label_inside_a_gap_leaves_the_other_beats_readable(clean: Recording) -> None:
    samples = clean.leads[0].samples.copy()
    samples[40 * 250 : 44 * 250] = np.nan
    gapped = changed(clean, samples)
    beats = annotated_beats(gapped, gapped.leads[:1], WINDOW)[0]
    whole = annotated_beats(clean, clean.leads[:1], WINDOW)[0]
    assert beats.readable.sum() >= whole.readable.sum() - 8
    inside = (beats.samples >= 40 * 250) & (beats.samples < 44 * 250)
    assert not beats.readable[inside].any()
