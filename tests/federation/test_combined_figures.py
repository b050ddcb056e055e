"""Figures of several sites become one, and no site alone decides what is signed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_rounds import PLAN

from ecgfl_cli.federation.coordinator.rounds.calibrating import calibrated
from ecgfl_cli.federation.coordinator.rounds.combining import Combination
from ecgfl_cli.federation.coordinator.rounds.outliers import deviation_in_words, deviations
from ecgfl_cli.federation.coordinator.rounds.reported_figures import (
    combined_histogram,
    combined_metrics,
    histograms,
    mean_loss,
)
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult, SiteFigures
from ecgfl_cli.federation.messages import EvaluateReply
from ecgfl_cli.federation.release_steps.cap_beats import capped, usual_count
from ecgfl_cli.models.calibration import (
    COUNTS,
    EDGES,
    UNCALIBRATED,
    USUAL_THRESHOLD,
    Calibrated,
    Histogram,
    counted,
    decision_logit,
    fit,
)

NOW = Calibrated(UNCALIBRATED, USUAL_THRESHOLD)
STRATEGIES = ("fedavg", "fedprox", "fedadam", "fedyogi", "median", "trimmed-mean", "krum")
ROBUST = ("median", "trimmed-mean", "krum")


def how(strategy: str, **options: Any) -> Combination:
    return Combination.of(replace(PLAN, strategy=strategy, **options))


def reply(pvcs: int, others: int, found: int, false: int, **more: Any) -> EvaluateReply:
    return EvaluateReply(
        examples=pvcs + others, pvcs=pvcs, true_positives=found, false_positives=false, **more
    )


def site(seed: int, beats: int = 3000, pvcs: int = 200) -> Histogram:
    """A good model's logits: PVCs around 3, other beats around -4."""
    random = np.random.default_rng(seed)
    others = random.normal(-4 + random.normal(0, 0.3), 1.5, beats)
    return Histogram(
        *(counted(each.astype(np.float32)) for each in (others, random.normal(3, 2, pvcs)))
    )


def lying(low: float, high: float, beats: int, pvcs: int) -> Histogram:
    """Other beats at one logit and PVCs at another, both invented."""
    return Histogram(
        *(counted(np.float32([value])) * count for value, count in ((low, beats), (high, pvcs)))
    )


HONEST = [site(1), site(2, 5000, 400), site(3, 2000, 100)]
LIES = {
    "everything-is-v": lying(-6.0, -5.0, 10_000_000, 10_000_000),
    "nothing-is-v": lying(5.5, 6.5, 10_000_000, 10_000_000),
    "fewer-are-v": lying(2.75, 5.75, 10_000_000, 10_000_000),
    "all-pvcs": lying(-5.0, -4.0, 1_000, 100_000_000),
    "upside-down": lying(5.0, -5.0, 10_000_000, 10_000_000),
    "in-one-bin": lying(2.0, 2.0, 10_000_000, 10_000),
    "at-the-ends": lying(100.0, 100.0, 10_000_000, 10_000_000),
}


def test_usual_count() -> None:
    assert usual_count([100, 300, 200]) == 200
    assert usual_count([100, 200, 300, 10_000_000]) == 250
    assert usual_count([100, 10_000_000]) == 100, (
        "the median of two is their mean, which one site decides"
    )
    assert usual_count([0, 0, 7]) == 7
    assert usual_count([]) == 0


def test_a_weight_is_capped() -> None:
    assert capped([100, 200, 300, 10_000_000], 3.0) == [100, 200, 300, 750]
    assert capped([100, 300], 3.0) == [100, 300]
    assert capped([100, 301], 3.0) == [100, 300]
    assert capped([0, 0], 3.0) == [0, 0]


def test_honest_counts_are_added_up_in_a_mean() -> None:
    replies = [
        reply(4, 6, 3, 1, loss=0.5),
        EvaluateReply(examples=30, loss=0.1),
        EvaluateReply(examples=5),
    ]
    metrics = combined_metrics(replies, how("fedavg"))
    assert metrics is not None
    assert (metrics.beats, metrics.pvcs, metrics.sensitivity, metrics.precision) == (
        10,
        4,
        0.75,
        0.75,
    )
    assert metrics.loss == pytest.approx((10 * 0.5 + 30 * 0.1) / 40)
    assert combined_metrics([EvaluateReply(examples=5)], how("fedavg")) is None
    assert mean_loss([EvaluateReply(examples=5)], 3.0) is None


def test_histograms_are_added_up_in_a_mean() -> None:
    combined = combined_histogram(HONEST, how("fedavg", max_weight_ratio=100.0))
    assert combined is not None
    np.testing.assert_array_equal(combined.others, sum(each.others for each in HONEST))
    np.testing.assert_array_equal(combined.pvcs, sum(each.pvcs for each in HONEST))


def test_only_sites_that_report_both_classes_count() -> None:
    zeros = [0] * COUNTS
    both = EvaluateReply(
        examples=10, others_by_logit=[6, *zeros[1:]], pvcs_by_logit=[4, *zeros[1:]]
    )
    assert (
        len(
            histograms(
                [
                    both,
                    EvaluateReply(examples=10, pvcs_by_logit=[4, *zeros[1:]]),
                    EvaluateReply(examples=3),
                ]
            )
        )
        == 1
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_claimed_counts_do_not_make_the_metrics(strategy: str) -> None:
    honest = [
        reply(100, 900, found, 10, loss=loss) for found, loss in ((12, 0.9), (15, 1.0), (10, 0.8))
    ]
    liar = reply(10_000_000, 10_000_000, 10_000_000, 0, loss=0.0)
    metrics = combined_metrics([*honest, liar], how(strategy))
    assert metrics is not None
    assert metrics.sensitivity is not None
    assert metrics.loss is not None
    if strategy in ROBUST:
        assert 0.10 <= metrics.sensitivity <= 0.15
        assert 0.8 <= metrics.loss <= 1.0
    else:
        assert metrics.sensitivity <= (37 + 300) / 600
        assert metrics.loss >= 2.7 / 6
    assert metrics.beats <= 3000 + 3 * 1000 + 3


@pytest.mark.parametrize("strategy", ROBUST)
def test_too_few_sites_give_no_robust_figure(strategy: str) -> None:
    metrics = combined_metrics(
        [reply(100, 900, 10, 0), reply(100, 900, 100, 0), EvaluateReply(examples=9)], how(strategy)
    )
    assert metrics is not None
    assert (metrics.sensitivity, metrics.precision, metrics.loss) == (None, None, None)
    assert combined_histogram(HONEST[:2], how(strategy)) is None


@pytest.mark.parametrize("strategy", ROBUST)
@pytest.mark.parametrize("lie", LIES)
def test_one_site_of_four_moves_a_robust_histogram_little(strategy: str, lie: str) -> None:
    combined = combined_histogram([*HONEST, LIES[lie]], how(strategy))
    assert combined is not None
    for name in ("others", "pvcs"):
        cumulative = getattr(combined, name).cumsum() / getattr(combined, name).sum()
        honest = np.stack(
            [getattr(each, name).cumsum() / getattr(each, name).sum() for each in HONEST]
        )
        assert (cumulative >= honest.min(axis=0) - 1e-12).all()
        assert (cumulative <= honest.max(axis=0) + 1e-12).all()
    share = combined.pvcs.sum() / combined.beats
    assert 0.04 < share < 0.08


def f1_of_honest(calibration: Calibrated) -> float:
    decision = decision_logit(calibration.calibration, calibration.threshold)
    found, false = np.sum([each.called(decision) for each in HONEST], axis=0)
    return float(2 * found / (found + false + sum(each.pvcs.sum() for each in HONEST)))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("lie", LIES)
def test_one_site_of_four_costs_the_others_little(strategy: str, lie: str) -> None:
    without = calibrated(HONEST, how(strategy), NOW)
    attacked = calibrated([*HONEST, LIES[lie]], how(strategy), NOW)
    assert f1_of_honest(without) > 0.9
    assert f1_of_honest(attacked) > f1_of_honest(without) - 0.03
    assert 0.05 <= attacked.threshold <= 0.5
    assert 0.1 <= attacked.calibration.scale <= 10


@pytest.mark.parametrize("strategy", ROBUST)
def test_two_sites_of_six_cost_the_others_little(strategy: str) -> None:
    honest = [*HONEST, site(4)]
    option = (
        {"trimmed_share": 0.34}
        if strategy == "trimmed-mean"
        else {"malicious_sites": 2}
        if strategy == "krum"
        else {}
    )
    for lie in LIES.values():
        attacked = calibrated([*honest, lie, lie], how(strategy, **option), NOW)
        assert f1_of_honest(attacked) > f1_of_honest(calibrated(HONEST, how("median"), NOW)) - 0.03


def test_a_fit_that_harms_most_sites_is_not_taken() -> None:
    """In a mean, a site with half of the histogram can move the threshold against the others."""
    liar = lying(2.75, 5.75, 10_000_000, 10_000_000)
    combined = combined_histogram([*HONEST, liar], how("fedavg"))
    assert combined is not None
    assert f1_of_honest(Calibrated(*fit(combined.others, combined.pvcs))) < 0.6
    attacked = calibrated([*HONEST, liar], how("fedavg"), NOW)
    assert "fitted to the median of the sites" in str(attacked.problem)
    assert f1_of_honest(attacked) > 0.9


@pytest.mark.parametrize("small", [(300, 20), (1500, 12), (20_000, 12), (1500, 3)], ids=str)
def test_a_large_and_a_small_site_are_calibrated(small: tuple[int, int]) -> None:
    sites = [site(1, 50_000, 5000), site(2, *small)]
    done = calibrated(sites, how("fedavg"), NOW)
    combined = combined_histogram(sites, how("fedavg"))
    assert done.problem is None
    assert done.calibration != UNCALIBRATED
    assert combined is not None
    shares = [each.pvcs.sum() / each.beats for each in sites]
    assert min(shares) <= combined.pvcs.sum() / combined.beats <= max(shares)


@pytest.mark.parametrize("lie", LIES)
def test_a_large_liar_beside_a_small_site_costs_it_little(lie: str) -> None:
    small = site(7, 1500, 12)
    done = calibrated([small, LIES[lie]], how("fedavg"), NOW)
    assert small.f1(done.decision) >= small.f1(NOW.decision) - 0.02


def test_too_few_beats_are_named() -> None:
    few = [site(1, 3000, 30), site(2, 3000, 40)]
    assert "70 held-out PVCs and 6000 other beats by logit; at least 100" in str(
        calibrated(few, how("fedavg"), NOW).problem
    )
    small = [site(seed, 500, 20) for seed in (1, 2, 3)]
    problem = str(calibrated(small, how("median"), NOW).problem)
    assert "each site counted for at most 3 times the usual number; at least 100" in problem


def test_of_two_sites_both_must_agree() -> None:
    liar = lying(2.75, 5.75, 10_000_000, 10_000_000)
    attacked = calibrated([HONEST[0], liar], how("fedavg"), NOW)
    assert (attacked.calibration, attacked.threshold) == (UNCALIBRATED, USUAL_THRESHOLD)
    assert "a new fit would cost most sites F1" in str(attacked.problem)


def test_small_steps_do_not_add_up() -> None:
    """A site that lies a little more in each round of a mean, each time within what is accepted."""
    honest, current = f1_of_honest(calibrated(HONEST, how("fedavg"), NOW)), NOW
    for step in range(12):
        liar = lying(-2.0 + step / 2, 1.0 + step / 2, 10_000_000, 10_000_000)
        current = replace(calibrated([*HONEST, liar], how("fedavg"), current), problem=None)
        assert f1_of_honest(current) > honest - 0.04, step


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_honest_sites_are_calibrated(strategy: str) -> None:
    done = calibrated([*HONEST, site(4)], how(strategy), NOW)
    assert done.problem is None
    assert done.calibration != UNCALIBRATED
    assert abs(decision_logit(done.calibration, done.threshold)) < 2


def test_one_site_alone_calibrates_nothing() -> None:
    no_pvcs = Histogram(HONEST[1].others, HONEST[1].pvcs * 0)
    for sites in ([HONEST[0]], [HONEST[0], no_pvcs]):
        done = calibrated(sites, how("fedavg"), NOW)
        assert (done.calibration, done.threshold) == (UNCALIBRATED, USUAL_THRESHOLD)
        assert "fewer than 2 sites" in str(done.problem)


def test_the_median_of_different_bins_is_still_a_distribution() -> None:
    """Bin by bin it would be 0 everywhere."""
    sites = [lying(-4.0, value, 1000, 100) for value in (1.0, 2.0, 3.0)]
    combined = combined_histogram(sites, how("median"))
    assert combined is not None
    assert combined.pvcs.argmax() == np.searchsorted(EDGES, 2.0, side="right")
    assert combined.pvcs.sum() == pytest.approx(3 * 1100 * 100 / 1100)


def figures(pvcs: int, found: int, **more: Any) -> SiteFigures:
    counts = {
        "beats": 10 * pvcs,
        "pvcs": pvcs,
        "true_positives": found,
        "false_positives": found // 10,
    }
    return SiteFigures(**counts, sensitivity=found / pvcs, loss=0.1, **more)


def test_a_site_that_claims_all_is_named() -> None:
    sites = {
        "a": figures(200, 24),
        "b": figures(300, 40),
        "c": figures(150, 16),
        "mallory": figures(5_000_000, 5_000_000),
    }
    assert deviations(sites) == {"mallory": ["beats", "sensitivity"]}
    result = RoundResult(1, "m", list(sites), 4, 0.1, by_site=sites)
    result.by_site["mallory"].deviates = ["sensitivity"]
    assert deviation_in_words(result, "mallory") == "sensitivity 100.0 % (median 12.7 %)"


@pytest.mark.parametrize(
    "found",
    [
        (95, 90, 60),
        (99, 98, 97, 90),
        (3, 50, 95),
        (60, 80, 95, 99, 90),
        (50, 50, 50, 50),
        (0, 0, 1),
    ],
)
def test_hospitals_that_differ_as_usual_are_not_named(found: tuple[int, ...]) -> None:
    assert (
        deviations({str(number): figures(100, count) for number, count in enumerate(found)}) == {}
    )


def test_ten_of_ten_beside_an_eighth_is_named() -> None:
    sites = {
        "a": figures(200, 24),
        "b": figures(300, 40),
        "c": figures(150, 16),
        "mallory": figures(10, 10),
    }
    assert "sensitivity" in deviations(sites)["mallory"]


def test_a_site_with_three_pvcs_is_not_named_for_finding_them() -> None:
    sites = {
        "a": figures(200, 60),
        "b": figures(300, 90),
        "c": figures(150, 45),
        "d": figures(3, 3),
    }
    assert "sensitivity" not in deviations(sites).get("d", [])


def test_of_two_sites_none_is_named() -> None:
    assert deviations({"a": figures(200, 2), "b": figures(300_000, 300_000)}) == {}


def test_a_large_update_or_loss_is_named() -> None:
    sites = {
        name: SiteFigures(update_norm=norm, train_loss=0.2)
        for name, norm in zip("abcd", (1.0, 1.2, 0.9, 30.0), strict=True)
    }
    sites["a"].train_loss = 1e6
    assert deviations(sites) == {"a": ["train_loss"], "d": ["update_norm"]}
