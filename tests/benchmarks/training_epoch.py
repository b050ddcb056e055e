"""Training on examples that stay in a file beside the same on arrays in memory.

python tests/benchmarks/training_epoch.py [--beats 1000000]

As many examples as a site with 1,000 recordings has. Passes over all of them in a random order, in batches, are timed in turn:
reading alone, and training on a part of them, in one thread as a site does. Times are the processor's, so that other programs
disturb little; memory is what the process holds resident.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import torch

from ecgfl_cli.beats.beats import CONTEXT_FIELDS
from ecgfl_cli.models.architecture import DEFAULT, Architecture, architecture
from ecgfl_cli.training.examples import Examples
from ecgfl_cli.training.file_rows import FileRows
from ecgfl_cli.training.local import TrainingPlan, train

TRAINED_BEATS, AT_A_TIME, REPEATS = 60_000, 50_000, 3


def chunks(wanted: Architecture, beats: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    columns = 2 * wanted.window.length + len(CONTEXT_FIELDS)
    for start in range(0, beats, AT_A_TIME):
        yield random.standard_normal((min(AT_A_TIME, beats - start), columns), dtype=np.float32)


def examples(wanted: Architecture, rows: np.ndarray | FileRows) -> Examples:
    widths = (wanted.window.length, wanted.window.length, len(CONTEXT_FIELDS))
    kind = np.random.default_rng(1).integers(0, wanted.kinds, len(rows))
    patient = np.zeros(len(rows), dtype=np.int64)
    return Examples(rows, widths, kind, np.ones(len(rows), dtype=np.float32), patient)


def read_all(found: Examples, batch: int) -> None:
    """What a training epoch reads, and nothing else of it."""
    for some in torch.split(
        torch.randperm(len(found), generator=torch.Generator().manual_seed(0)), batch
    ):
        found.inputs(some.numpy())


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the processor, and the resident MiB at its end."""
    started = time.process_time()
    work()
    return time.process_time() - started, psutil.Process().memory_info().rss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beats", type=int, default=1_000_000)
    beats = parser.parse_args().beats
    wanted = architecture(DEFAULT)
    plan = TrainingPlan(epochs=1, learning_rate=1e-3, batch_size=wanted.batch_size, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        rows = FileRows(Path(folder))
        for chunk in chunks(wanted, beats):
            rows.append(chunk)
        filed = examples(wanted, rows)
        _, before = timed(lambda: None)
        print(
            f"{beats} beats, {beats * sum(filed.widths) * 4 / 2**20:.0f} MiB; {before:.0f} MiB resident before",
            flush=True,
        )
        for number in range(REPEATS):
            seconds, resident = timed(lambda: read_all(filed, plan.batch_size))
            print(
                f"pass {number + 1}: {seconds:.1f} s to read all from the file, {resident:.0f} MiB resident",
                flush=True,
            )
        part = FileRows(Path(folder))
        part.append(rows[np.arange(TRAINED_BEATS)])
        network = wanted.build()
        times: dict[str, list[float]] = {"file": [], "memory": []}
        for _ in range(REPEATS):
            for name, found in (("file", part), ("memory", part[np.arange(TRAINED_BEATS)])):
                seconds, resident = timed(
                    lambda found=found: train(network, wanted, examples(wanted, found), plan)
                )
                times[name].append(seconds)
                print(
                    f"an epoch of {TRAINED_BEATS} beats, from {name}: {seconds:.2f} s, {resident:.0f} MiB resident",
                    flush=True,
                )
        print(
            f"from the file at {min(times['memory']) / min(times['file']):.0%} of the speed in memory, best of {REPEATS} each"
        )


if __name__ == "__main__":
    main()
