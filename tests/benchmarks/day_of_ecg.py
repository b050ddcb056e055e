"""Measure the time and memory of each step for a day of ECG.

python tests/benchmarks/day_of_ecg.py

The day consists of real records of mitdb (DS1), resampled and concatenated, so that it has about as
many beats as a patient's day. The network has random weights, which do not change its speed. Times
are processor seconds of all threads, and depend on the machine. The shares are comparable, and the
ratios to other programs on the same signal in the same run.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from ecgfl_adapters.discovery import read
from ecgfl_adapters.recording import Lead, Recording, Source
from numpy.typing import NDArray
from real_data import DATA, DS1
from scipy.signal import resample_poly

from ecgfl_cli.beats import beats as cutting
from ecgfl_cli.models.architecture import DEFAULT, architecture, names
from ecgfl_cli.models.inference import beat_logits

PROCESS = Path("/proc/self")
XQRS_SECONDS = 1800
"""Length of the signal for the slow `wfdb.processing.xqrs_detect`. Its time is extrapolated."""


class Step(NamedTuple):
    """The cost of a step.

    Attributes
    ----------
    seconds
        Processor seconds without the steps inside it.
    peak_mib
        Largest additional memory of the process during the step; None if it is not known.
    """

    seconds: float
    peak_mib: float | None


def a_day(hours: float, fs: float, leads: int) -> Recording:
    """Return a recording of `hours` at `fs` hertz."""
    length = round(hours * 3600 * fs)
    signals = np.zeros((leads, length), dtype=np.float32)
    start = index = 0
    while start < length:
        record = read(DATA / "mitdb" / f"{DS1[index % len(DS1)]}.hea")
        ratio = Fraction(fs / record.fs).limit_denominator(1000)
        part = np.stack(
            [
                resample_poly(lead.samples, ratio.numerator, ratio.denominator)
                for lead in record.leads[:leads]
            ]
        )
        stop = min(length, start + part.shape[1])
        signals[:, start:stop] = part[:, : stop - start]
        start, index = stop, index + 1
    named = tuple(
        Lead(f"lead {number + 1}", signal, 0.005) for number, signal in enumerate(signals)
    )
    return Recording("day", fs, named, Source(Path("day"), "benchmark", "several"))


def memory_mib(field: str) -> float | None:
    """Return the memory of this process in MiB; None if the system does not report it.

    field: VmRSS for the resident memory now, VmHWM for its maximum since `reset_peak`.
    """
    if not (PROCESS / "clear_refs").exists():
        return None
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def reset_peak() -> None:
    if (PROCESS / "clear_refs").exists():
        (PROCESS / "clear_refs").write_text("5")


class Clock:
    """Measures steps by name. The time of a step does not include the steps inside it."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self._before = memory_mib("VmRSS")
        self._inner = [0.0]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        reset_peak()
        self._inner.append(0.0)
        start = time.process_time()
        yield
        spent = time.process_time() - start
        own = spent - self._inner.pop()
        self._inner[-1] += spent
        peak, before = memory_mib("VmHWM"), self.steps.get(name, Step(0.0, None))
        beyond = (
            None
            if peak is None or self._before is None
            else max(peak - self._before, before.peak_mib or 0.0)
        )
        self.steps[name] = Step(before.seconds + own, beyond)
        reset_peak()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is measured as a step."""

        def run(*arguments: Any) -> Any:
            with self.step(name):
                return function(*arguments)

        return run


def others(signal: NDArray[np.float32], fs: float, with_xqrs: bool) -> dict[str, float]:
    """Return the processor seconds that other open detectors need for the same signal."""
    import sleepecg
    from wfdb.processing import xqrs_detect

    seconds = {}
    start = time.process_time()
    sleepecg.detect_heartbeats(signal.astype(np.float64), fs)
    seconds["sleepecg.detect_heartbeats"] = time.process_time() - start
    if with_xqrs:
        part = signal[: round(XQRS_SECONDS * fs)].astype(np.float64)
        start = time.process_time()
        xqrs_detect(part, fs=fs, verbose=False)
        seconds["wfdb.processing.xqrs_detect"] = (
            (time.process_time() - start) * signal.size / part.size
        )
    return seconds


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--hours", type=float, default=24.0)
    options.add_argument("--fs", type=float, default=200.0)
    options.add_argument("--leads", type=int, choices=(1, 2), default=1)
    options.add_argument("--arch", choices=names(), default=DEFAULT)
    options.add_argument(
        "--no-xqrs", action="store_true", help="leave out wfdb's detector, which takes minutes"
    )
    chosen = options.parse_args()
    recording = a_day(chosen.hours, chosen.fs, chosen.leads)
    network_kind = architecture(chosen.arch)
    network = network_kind.build()

    warm_up = a_day(0.05, chosen.fs, chosen.leads)
    for beats in cutting.detected_beats(warm_up, warm_up.leads, network_kind.window):
        beat_logits(network, network_kind, beats)
    clock = Clock()
    names_of_steps = {"condition": "conditioning", "detect": "detection"}
    timed = {
        name: clock.timed(step, getattr(cutting, name)) for name, step in names_of_steps.items()
    }
    with patch.multiple(cutting, **timed), clock.step("cutting"):
        leads = cutting.detected_beats(recording, recording.leads, network_kind.window)
    with clock.step("classification"):
        for beats in leads:
            beat_logits(network, network_kind, beats)

    total = sum(step.seconds for step in clock.steps.values())
    size = sum(lead.samples.nbytes for lead in recording.leads) / 2**20
    print(
        f"{chosen.hours:g} h x {chosen.leads} lead(s) at {chosen.fs:g} Hz: "
        f"{recording.length} samples, {size:.0f} MiB; "
        f"{network_kind.name} at {network_kind.window.fs:g} Hz; {len(leads[0])} beats\n"
    )
    print(f"{'step':30}{'CPU s':>10}{'share':>8}{'peak MiB beyond input':>24}")
    for name in ("conditioning", "detection", "cutting", "classification"):
        step = clock.steps[name]
        peak = "-" if step.peak_mib is None else f"{step.peak_mib:.0f}"
        print(f"{name:30}{step.seconds:10.2f}{step.seconds / total:8.0%}{peak:>24}")
    print(f"{'all':30}{total:10.2f}\n")
    print(
        f"{'other detectors, first lead':30}{'CPU s':>10}"
        f"{'ratio, detection':>24}{'ratio, all steps':>24}"
    )
    own = clock.steps["conditioning"].seconds / chosen.leads + clock.steps["detection"].seconds
    for name, seconds in others(
        recording.leads[0].samples, recording.fs, not chosen.no_xqrs
    ).items():
        print(f"{name:30}{seconds:10.2f}{own / seconds:24.2f}{total / seconds:24.2f}")


if __name__ == "__main__":
    main()
