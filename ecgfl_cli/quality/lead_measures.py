"""What the checks need to know of one lead, measured in a few passes over its samples."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from ecgfl_adapters.recording import Gap, Lead
from numpy.typing import NDArray

from ecgfl_cli.quality.disturbances import Disturbances, measure_disturbances
from ecgfl_cli.quality.limits import Limits
from ecgfl_cli.quality.parts import NO_PART, NOWHERE, Part, Stretches, lasting, merged, part_of, runs
from ecgfl_cli.quality.typical_qrs import TypicalQrs, typical_qrs


@dataclass(frozen=True)
class Loss:
    """Time in which a lead tells nothing. whole : all of it. brief : without the long stretches, which `LeadMeasures.off` has."""

    whole: Part = NO_PART
    brief: Part = NO_PART


NOTHING_LOST = Loss()


@dataclass(frozen=True)
class LeadMeasures:
    """One lead in numbers.

    absent : NaN; brief only where another lead is there. flat : no movement. swinging : more movement than a heart makes.
    clipped : peaks cut off at the lead's extremes. saturated : longer than a peak at such an extreme, a rail.
    off : stretches of `lead_off_s` or more absent (while another lead is there), flat or at a rail.
    infinite : number of infinite samples; they count as absent.
    qrs_mv : median peak to peak of the QRS in millivolts, or of the whole signal where no beat is known; None without signal.
    qrs : the typical beat's QRS; None without beats.
    disturbances : what lies over the ECG; None for a lead without an ECG to judge.
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


def measure_lead(lead: Lead, fs: float, gaps: Sequence[Gap], beats: NDArray[np.int64], limits: Limits) -> LeadMeasures:
    """Measure one lead. `gaps` are the recording's, `beats` sorted samples inside the lead."""
    samples, infinite = _without_infinities(lead.samples)
    long = limits.lead_off_s * fs
    missing = np.isnan(samples)
    everywhere = part_of(runs(missing), samples.size)
    for gap in gaps:
        missing[gap.start : gap.stop] = False
    alone = runs(missing)
    absent = Loss(everywhere, part_of(lasting(alone, 1, long), samples.size))
    if everywhere.share == 1.0 or not samples.size:
        return LeadMeasures(lead.name, absent, infinite=infinite)

    block = min(samples.size, max(2, round(limits.flat_block_s * fs)))
    lows, highs = _extremes(samples, block)
    lowest, highest = float(np.fmin.reduce(samples)), float(np.fmax.reduce(samples))
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
        rails = np.concatenate((runs(samples >= high), runs(samples <= low)))
        shortest, longest = max(limits.clip_min_samples, round(limits.clip_run_s * fs)), round(limits.rail_run_s * fs)
        clipped = _loss(lasting(rails, shortest, longest), samples.size)
        at_rail = lasting(rails, max(shortest, longest))
        saturated = _loss(at_rail, samples.size, long)
        off.append(lasting(rails, long))
    qrs = typical_qrs(samples, fs, beats, limits)
    qrs_mv = (qrs.size_mv if qrs else None) or _median(movement)
    off_time = merged(off)
    too_much = max(everywhere.share, flat.whole.share, saturated.whole.share) > limits.lead_lost_share
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
        else measure_disturbances(samples, fs, merged([off_time, at_rail, swings]), beats, qrs_mv, limits),
    )


def _without_infinities(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """The samples with NaN for infinities, and how many there were. Copies only when there are any."""
    infinite = np.isinf(samples)
    count = int(np.count_nonzero(infinite))
    return (np.where(infinite, np.float32(np.nan), samples), count) if count else (samples, 0)


def _extremes(samples: NDArray[np.float32], block: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lowest and highest value of each whole block, shape (n // block,), NaN where the block holds a NaN."""
    blocks = samples[: samples.size // block * block].reshape(-1, block)
    return blocks.min(axis=1), blocks.max(axis=1)


def _loss(stretches: Stretches, whole: float, long: float = np.inf) -> Loss:
    return Loss(part_of(stretches, whole), part_of(lasting(stretches, 1, long), whole))


def _median(peaks: NDArray[np.float32]) -> float | None:
    present = peaks[~np.isnan(peaks)]
    return float(np.median(present)) if present.size else None
