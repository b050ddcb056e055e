"""What the checks need to know of one lead, measured in a few passes over its samples."""

from dataclasses import dataclass

import numpy as np
from ecgfl_adapters.recording import Lead
from numpy.typing import NDArray

from ecgfl_cli.quality.limits import Limits


@dataclass(frozen=True)
class Part:
    """A part of a recording: its share of the samples, 0 to 1, and its longest stretch as samples [start, stop)."""

    share: float = 0.0
    longest: tuple[int, int] | None = None


@dataclass(frozen=True)
class LeadMeasures:
    """One lead in numbers.

    absent : NaN. flat : no movement. swinging : more movement than a heart makes. clipped : stuck at the lead's extremes.
    infinite : number of infinite samples; they count as absent.
    qrs_mv : median peak to peak of the QRS in millivolts, or of the whole signal where no beat is known; None without signal.
    """

    name: str
    absent: Part
    flat: Part = Part()
    swinging: Part = Part()
    clipped: Part = Part()
    infinite: int = 0
    qrs_mv: float | None = None


def measure_lead(lead: Lead, fs: float, beats: NDArray[np.int64], limits: Limits) -> LeadMeasures:
    """Measure one lead. `beats` are sorted samples inside the lead."""
    samples, infinite = _without_infinities(lead.samples)
    absent = _part(np.isnan(samples))
    if absent.share == 1.0 or not samples.size:
        return LeadMeasures(lead.name, absent, infinite=infinite)
    lowest, highest = float(np.fmin.reduce(samples)), float(np.fmax.reduce(samples))
    # At a large offset float32 itself is coarser than the source's step.
    rounding = 4.0 * float(np.spacing(np.float32(min(max(-lowest, highest, 1e-30), 1e38))))
    step = lead.step_mv if np.isfinite(lead.step_mv) and lead.step_mv > 0 else 0.0

    block = min(samples.size, max(2, round(limits.flat_block_s * fs)))
    movement = _movement(samples, block)
    flat = _part_of_blocks(movement <= step + rounding, movement, block, absent.share)
    clipped = Part()
    if flat.share <= limits.lead_lost_share:
        run = max(limits.clip_min_samples, round(limits.clip_run_s * fs))
        tolerance = 0.5 * step + rounding
        clipped = _clipping(samples, lowest + tolerance, highest - tolerance, run)
    return LeadMeasures(
        lead.name,
        absent,
        flat,
        _part_of_blocks(movement > limits.swing_mv, movement, block, absent.share),
        clipped,
        infinite,
        _qrs_amplitude(samples, beats, round(limits.qrs_half_window_s * fs), limits.qrs_sample) or _median(movement),
    )


def _without_infinities(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """The samples with NaN for infinities, and how many there were. Copies only when there are any."""
    infinite = np.isinf(samples)
    count = int(np.count_nonzero(infinite))
    return (np.where(infinite, np.float32(np.nan), samples), count) if count else (samples, 0)


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where `mask` holds, as rows of start and stop, shape (runs, 2)."""
    padded = np.zeros(mask.size + 2, dtype=np.bool_)
    padded[1:-1] = mask
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)


def _part(mask: NDArray[np.bool_], shortest: int = 1) -> Part:
    """The samples in runs of at least `shortest`."""
    if not mask.any():
        return Part()
    runs = _runs(mask)
    lengths = runs[:, 1] - runs[:, 0]
    if lengths.max() < shortest:
        return Part()
    start, stop = (int(edge) for edge in runs[lengths.argmax()])
    return Part(int(lengths[lengths >= shortest].sum()) / mask.size, (start, stop))


def _part_of_blocks(mask: NDArray[np.bool_], movement: NDArray[np.float32], block: int, absent: float) -> Part:
    """As `_part` for a mask over blocks. A block with a NaN tells nothing: the others stand for the signal there is."""
    part = _part(mask)
    if part.longest is None:
        return part
    share = np.count_nonzero(mask) / np.count_nonzero(~np.isnan(movement)) * (1.0 - absent)
    return Part(float(share), (part.longest[0] * block, part.longest[1] * block))


def _movement(samples: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    """Peak to peak of each whole block, shape (n // block,), NaN where the block holds a NaN."""
    blocks = samples[: samples.size // block * block].reshape(-1, block)
    return np.asarray(blocks.max(axis=1) - blocks.min(axis=1))


def _clipping(samples: NDArray[np.float32], low: float, high: float, run: int) -> Part:
    """Samples in runs of at least `run` at or beyond one of the lead's extremes."""
    top, bottom = _part(samples >= high, run), _part(samples <= low, run)
    stretches = [part.longest for part in (top, bottom) if part.longest is not None]
    return Part(top.share + bottom.share, max(stretches, key=lambda stretch: stretch[1] - stretch[0], default=None))


def _qrs_amplitude(samples: NDArray[np.float32], beats: NDArray[np.int64], half: int, most: int) -> float | None:
    """Median peak to peak around the beats, from at most `most` of them spread evenly over the record."""
    inside = beats[(beats >= half) & (beats < samples.size - half)]
    if not inside.size:
        return None
    chosen = inside[np.linspace(0, inside.size - 1, min(most, inside.size)).astype(np.int64)]
    windows = samples[chosen[:, None] + np.arange(-half, half + 1)].astype(np.float64)
    return _median(np.ptp(windows, axis=1))


def _median(peaks: NDArray[np.floating]) -> float | None:
    present = peaks[~np.isnan(peaks)]
    return float(np.median(present)) if present.size else None
