"""The coordinator: notes in a file when each round begins, and when all is over."""

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


class NotedFedAvg(FedAvg):
    """times : where the beginning of each round is appended, in seconds since the epoch."""

    def __init__(self, times: Path, sites: int) -> None:
        super().__init__(min_train_nodes=sites, min_evaluate_nodes=sites, min_available_nodes=sites)
        self._times = times

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        note(self._times, "round")
        return super().configure_train(server_round, arrays, config, grid)


def note(times: Path, what: str) -> None:
    with times.open("a") as file:
        file.write(f"{what} {time.time():.3f}\n")


@app.main()
def main(grid: Grid, context: Context) -> None:
    given = context.run_config
    times, sizes = Path(str(given["times"])), [int(size) for size in str(given["sizes"]).split(",")]
    arrays = ArrayRecord(
        {
            f"array-{place}": Array(np.ones(size, dtype=np.float32))
            for place, size in enumerate(sizes)
        }
    )
    NotedFedAvg(times, int(given["sites"])).start(
        grid, arrays, num_rounds=int(given["rounds"]), timeout=600
    )
    note(times, "end")
