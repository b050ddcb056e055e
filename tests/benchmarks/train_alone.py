"""Local training as `ecgfl join` does it, without a federation, for join_memory.py.

python tests/benchmarks/train_alone.py HOME
"""

import sys
from pathlib import Path

from ecgfl_cli.models.architecture import DEFAULT, architecture
from ecgfl_cli.site.home import Home
from ecgfl_cli.training.dataset import load_dataset
from ecgfl_cli.training.local import TrainingPlan, train


def main() -> None:
    kind = architecture(DEFAULT)
    plan = TrainingPlan(kind.local_epochs, kind.learning_rate, kind.batch_size, seed=1)
    examples = load_dataset(Home(Path(sys.argv[1])), kind).train
    print(f"{len(examples)} beats, loss {train(kind.build(), kind, examples, plan):.4f}")


if __name__ == "__main__":
    main()
