"""A coordinator that writes to a file when each round begins and when the run ends."""

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


class TimedFedAvg(FedAvg):
    """FedAvg that appends the time of each round's beginning to the file `times`."""

    def __init__(self, times: Path, sites: int) -> None:
        super().__init__(min_train_nodes=sites, min_evaluate_nodes=sites, min_available_nodes=sites)
        self._times = times

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        append_time(self._times, "round")
        return super().configure_train(server_round, arrays, config, grid)


def append_time(times: Path, event: str) -> None:
    """Append an event and its time in seconds since 1970."""
    with times.open("a") as file:
        file.write(f"{event} {time.time():.3f}\n")


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    times = Path(str(config["times"]))
    sizes = [int(size) for size in str(config["sizes"]).split(",")]
    arrays = ArrayRecord(
        {
            f"array-{index}": Array(np.ones(size, dtype=np.float32))
            for index, size in enumerate(sizes)
        }
    )
    TimedFedAvg(times, int(config["sites"])).start(
        grid, arrays, num_rounds=int(config["rounds"]), timeout=600
    )
    append_time(times, "end")
