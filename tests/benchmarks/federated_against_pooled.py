"""Train a model on the pooled beats of all sites, to compare it with the federated model.

python tests/benchmarks/federated_against_pooled.py WORK/coordinator/coordinator ROUNDS SITE_HOME...

The first folder has the coordinator's signing key, and the homes are those that
`examples/starter_model.py` makes. The pooled model is trained for as many epochs on the same
training patients as the federated run, with the same learning rates. It is signed and added to the
first site's registry. Compare the two with
`ecgfl --home SITE_HOME evaluate --against VERSION RECORDINGS`.
"""

import sys
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np

from ecgfl_cli.federation.coordinator.home import CoordinatorHome, load_signing_key
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan
from ecgfl_cli.models.architecture import DEFAULT, architecture
from ecgfl_cli.models.calibration import fit
from ecgfl_cli.models.manifest import Manifest, SignedManifest, weights_sha256
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.site_models import site_registry
from ecgfl_cli.site.home import Home
from ecgfl_cli.training.dataset import load_dataset
from ecgfl_cli.training.examples import Examples
from ecgfl_cli.training.local import TrainingPlan, measure, train


def pooled(parts: list[Examples]) -> Examples:
    kept = [part for part in parts if len(part)]
    rows = np.concatenate([part.rows[np.arange(len(part))] for part in kept])
    kinds, weights = (
        np.concatenate([getattr(part, field) for part in kept]) for field in ("kind", "weight")
    )
    first = np.cumsum([0, *(part.patient.max() + 1 for part in kept[:-1])])
    patients = [part.patient + index for part, index in zip(kept, first, strict=True)]
    return Examples(rows, kept[0].widths, kinds, weights, np.concatenate(patients))


def main(coordinator: Path, rounds: int, homes: list[Path]) -> None:
    import torch

    key = load_signing_key(CoordinatorHome(coordinator))
    kind = architecture(DEFAULT)
    plan = RunPlan(
        architecture=kind.name,
        strategy="fedavg",
        rounds=rounds,
        min_sites=2,
        local_epochs=kind.local_epochs,
        learning_rate=kind.learning_rate,
        last_learning_rate=kind.last_learning_rate,
        batch_size=kind.batch_size,
        seed=0,
        phase_timeout=3600.0,
    )
    datasets = [load_dataset(Home(home), kind) for home in homes]
    examples = pooled([dataset.train for dataset in datasets])
    torch.manual_seed(plan.seed)
    network = kind.build()
    for number in range(1, rounds + 1):
        rate = plan.learning_rate_in(number)
        loss = train(
            network,
            kind,
            examples,
            TrainingPlan(plan.local_epochs, rate, plan.batch_size, plan.seed + number, 2),
        )
        print(f"round {number} of {rounds}: {len(examples)} beats, loss {loss:.4f}", flush=True)
    measured = measure(network, chain.from_iterable(dataset.held_out for dataset in datasets))
    calibration, threshold = fit(measured.others_by_logit, measured.pvcs_by_logit)
    digest = weights_sha256(pack(network))
    manifest = Manifest(
        version=f"pooled-{digest[:8]}",
        architecture=kind.name,
        sequence=0,
        run="pooled",
        round=rounds,
        rounds=rounds,
        parent=None,
        weights_sha256=digest,
        threshold=threshold,
        calibration=calibration,
        sites=len(homes),
        examples=len(examples),
        parent_metrics=None,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        program="tests/benchmarks",
    )
    signed = SignedManifest.sign(manifest, key)
    site_registry(Home(homes[0])).add(signed, network, "a benchmark")
    print(manifest.version)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [Path(home) for home in sys.argv[3:]])
