"""Measure what the checks need to know about a lead, in a few passes over its samples."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from ecgfl_adapters.recording import Gap, Lead
from ecgfl_adapters.samples import Samples, blocks, extremes, in_rows
from numpy.typing import NDArray

from ecgfl_cli.quality.disturbances import Disturbances, measure_disturbances
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.parts import (
    NO_PART,
    NOWHERE,
    Part,
    Stretches,
    lasting,
    merged,
    part_of,
    runs,
    runs_in,
    without,
)
from ecgfl_cli.quality.typical_qrs import TypicalQrs, typical_qrs

MOST_AT_HAND = 1 << 22
"""Samples of a lead that are taken into memory: a day at 388 Hz, 128 MiB."""


@dataclass(frozen=True)
class Loss:
    """Time in which a lead has no usable signal.

    Attributes
    ----------
    whole : Part
        All of it.
    brief : Part
        Without the long stretches, which `LeadMeasures.off` has.
    """

    whole: Part = NO_PART
    brief: Part = NO_PART


NOTHING_LOST = Loss()


@dataclass(frozen=True)
class LeadMeasures:
    """Measurements of a lead.

    Attributes
    ----------
    name : str
        Name of the lead.
    absent : Loss
        Time without a value. Its brief part counts only while another lead has values.
    flat : Loss
        Time without movement.
    swinging : Loss
        Time with more movement than a heart makes.
    clipped : Loss
        Peaks that are cut off at the extremes of the lead.
    saturated : Loss
        Time at such an extreme that is longer than a peak.
    off : Stretches
        Stretches of `lead_off_s` or more that are absent (while another lead is there), flat or
        saturated.
    infinite : int
        Number of infinite samples, which count as absent.
    qrs_mv : float or None
        Median peak-to-peak amplitude of the QRS in millivolts, or that of the whole signal without
        beats; None without a signal.
    qrs : TypicalQrs or None
        The typical QRS; None without beats.
    disturbances : Disturbances or None
        Disturbances; None for a lead without an ECG.
    """

    name: str
    absent: Loss
    flat: Loss = NOTHING_LOST
    swinging: Loss = NOTHING_LOST
    clipped: Loss = NOTHING_LOST
    saturated: Loss = NOTHING_LOST
    off: Stretches = field(default_factory=lambda: NOWHERE)
    infinite: int = 0
    qrs_mv: float | None = None
    qrs: TypicalQrs | None = None
    disturbances: Disturbances | None = None


def measure_lead(
    lead: Lead, fs: float, gaps: Sequence[Gap], beats: NDArray[np.int64], limits: Limits
) -> LeadMeasures:
    """Measure a lead.

    `gaps` are those of the recording, `beats` are sorted samples inside the lead.
    """
    samples, infinite = _without_infinities(_at_hand(lead.samples))
    long = limits.lead_off_s * fs
    missing = runs_in(samples, np.isnan)
    everywhere = part_of(missing, samples.size)
    alone = without(missing, np.array(gaps, dtype=np.int64).reshape(-1, 2))
    absent = Loss(everywhere, part_of(lasting(alone, 1, long), samples.size))
    if everywhere.share == 1.0 or not samples.size:
        return LeadMeasures(lead.name, absent, infinite=infinite)

    block = min(samples.size, max(2, round(limits.flat_block_s * fs)))
    lows, highs = _extremes(samples, block)
    lowest, highest = extremes(samples) or (0.0, 0.0)
    # At a large offset float32 itself is coarser than the source's step.
    rounding = 4.0 * float(np.spacing(np.float32(min(max(-lowest, highest, 1e-30), 1e38))))
    step = lead.step_mv if np.isfinite(lead.step_mv) and lead.step_mv > 0 else 0.0
    low, high = lowest + 0.5 * step + rounding, highest - 0.5 * step - rounding
    movement = highs - lows
    still = movement <= step + rounding

    # A block with a NaN tells nothing: the others stand for the signal there is.
    known = block * np.count_nonzero(~np.isnan(movement)) / (1.0 - everywhere.share)
    flat = _loss(runs(still) * block, known, long)
    off = [lasting(alone, long), lasting(runs(still) * block, long)]
    swings = runs(movement > limits.swing_mv) * block
    at_rail = NOWHERE
    clipped = saturated = NOTHING_LOST
    if flat.whole.share <= limits.lead_lost_share:
        # A line along a rail is saturation.
        flat = _loss(runs(still & (highs < high) & (lows > low)) * block, known, long)
        rails = np.concatenate(
            (
                runs_in(samples, lambda part: part >= high),
                runs_in(samples, lambda part: part <= low),
            )
        )
        shortest, longest = (
            max(limits.clip_min_samples, round(limits.clip_run_s * fs)),
            round(limits.rail_run_s * fs),
        )
        clipped = _loss(lasting(rails, shortest, longest), samples.size)
        at_rail = lasting(rails, max(shortest, longest))
        saturated = _loss(at_rail, samples.size, long)
        off.append(lasting(rails, long))
    qrs = typical_qrs(samples, fs, beats, limits)
    qrs_mv = (qrs.size_mv if qrs else None) or _median(movement)
    off_time = merged(off)
    too_much = (
        max(everywhere.share, flat.whole.share, saturated.whole.share) > limits.lead_lost_share
    )
    return LeadMeasures(
        lead.name,
        absent,
        flat,
        _loss(swings, known),
        clipped,
        saturated,
        off_time,
        infinite,
        qrs_mv,
        qrs,
        None
        if too_much or qrs_mv is None
        else measure_disturbances(
            samples, fs, merged([off_time, at_rail, swings]), beats, qrs_mv, limits
        ),
    )


def _at_hand(samples: Samples) -> Samples:
    """Return the samples in memory unless there are too many, because several passes follow."""
    return np.asarray(samples) if samples.size <= MOST_AT_HAND else samples


def _without_infinities(samples: Samples) -> tuple[Samples, int]:
    """Return the samples with NaN for infinities, and the number of infinities."""
    count = sum(int(np.count_nonzero(np.isinf(part))) for _, part in blocks(samples))
    if not count:
        return samples, 0
    whole = np.asarray(samples)
    return np.where(np.isinf(whole), np.float32(np.nan), whole), count


def _extremes(samples: Samples, block: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the lowest and highest value of each whole block, each of shape (n // block,).

    A block that contains NaN has NaN.
    """
    extremes = [(rows.min(axis=1), rows.max(axis=1)) for rows in in_rows(samples, block)]
    return np.concatenate([low for low, _ in extremes]), np.concatenate(
        [high for _, high in extremes]
    )


def _loss(stretches: Stretches, whole: float, long: float = np.inf) -> Loss:
    return Loss(part_of(stretches, whole), part_of(lasting(stretches, 1, long), whole))


def _median(peaks: NDArray[np.float32]) -> float | None:
    present = peaks[~np.isnan(peaks)]
    return float(np.median(present)) if present.size else None
