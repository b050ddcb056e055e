"""Compare training on examples in a file with training on examples in memory.

python tests/benchmarks/training_epoch.py [--beats 1000000]

There are as many examples as a site with 1,000 recordings has. The program measures passes over all
of them in batches in a random order (reading alone), and training on a part of them in one thread,
as a site does. Times are processor seconds, which other programs affect little; memory is the
resident memory of the process.
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


def chunks(network_kind: Architecture, beats: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    columns = 2 * network_kind.window.length + len(CONTEXT_FIELDS)
    for start in range(0, beats, AT_A_TIME):
        yield random.standard_normal((min(AT_A_TIME, beats - start), columns), dtype=np.float32)


def examples(network_kind: Architecture, rows: np.ndarray | FileRows) -> Examples:
    widths = (network_kind.window.length, network_kind.window.length, len(CONTEXT_FIELDS))
    kind = np.random.default_rng(1).integers(0, network_kind.kinds, len(rows))
    patient = np.zeros(len(rows), dtype=np.int64)
    return Examples(rows, widths, kind, np.ones(len(rows), dtype=np.float32), patient)


def read_all(data: Examples, batch: int) -> None:
    """Read what a training epoch reads, without training."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    for indices in torch.split(order, batch):
        data.inputs(indices.numpy())


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the processor seconds, and the resident memory in MiB at the end."""
    started = time.process_time()
    work()
    return time.process_time() - started, psutil.Process().memory_info().rss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beats", type=int, default=1_000_000)
    beats = parser.parse_args().beats
    kind = architecture(DEFAULT)
    plan = TrainingPlan(epochs=1, learning_rate=1e-3, batch_size=kind.batch_size, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        rows = FileRows(Path(folder))
        for chunk in chunks(kind, beats):
            rows.append(chunk)
        in_file = examples(kind, rows)
        _, before = timed(lambda: None)
        size = beats * sum(in_file.widths) * 4 / 2**20
        print(f"{beats} beats, {size:.0f} MiB; {before:.0f} MiB resident before", flush=True)
        for number in range(REPEATS):
            seconds, resident = timed(lambda: read_all(in_file, plan.batch_size))
            print(
                f"pass {number + 1}: {seconds:.1f} s to read all from the file,"
                f" {resident:.0f} MiB resident",
                flush=True,
            )
        part = FileRows(Path(folder))
        part.append(rows[np.arange(TRAINED_BEATS)])
        network = kind.build()
        times: dict[str, list[float]] = {"file": [], "memory": []}
        for _ in range(REPEATS):
            for name, data in (("file", part), ("memory", part[np.arange(TRAINED_BEATS)])):
                seconds, resident = timed(
                    lambda data=data: train(network, kind, examples(kind, data), plan)
                )
                times[name].append(seconds)
                print(
                    f"an epoch of {TRAINED_BEATS} beats, from {name}: {seconds:.2f} s,"
                    f" {resident:.0f} MiB resident",
                    flush=True,
                )
        speed = min(times["memory"]) / min(times["file"])
        print(f"from the file at {speed:.0%} of the speed in memory, best of {REPEATS} each")


if __name__ == "__main__":
    main()
