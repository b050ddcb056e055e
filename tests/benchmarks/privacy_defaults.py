"""Measure what the defaults of [policy.dp] cost, and how much of a step is noise.

python tests/benchmarks/privacy_defaults.py [--patients 30 100 300] [--rounds 5] [--clips 1.0]

The training patients are those of DS1 of mitdb that are not held out, in a site of their own. To
get more patients, the beats of each are divided among several. The gradients are those of the
starter model. A night is a run with the given number of rounds. DS2 and the held-out patients are
not used.
"""

import argparse
import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))

from real_data import DATA, DS1

from ecgfl_cli.app import run
from ecgfl_cli.models.architecture import DEFAULT, Architecture, architecture
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.site.privacy_policy import PrivacyPolicy
from ecgfl_cli.training.dataset import load_dataset
from ecgfl_cli.training.examples import Examples
from ecgfl_cli.training.ledger.accounting import epsilon_of, epsilon_of_fixed_plan
from ecgfl_cli.training.ledger.budget import mechanism_of
from ecgfl_cli.training.ledger.forecast import rounds_within
from ecgfl_cli.training.local import TrainingPlan
from ecgfl_cli.training.private import mechanism
from ecgfl_cli.training.private.clipping import patient_sums
from ecgfl_cli.training.private.plan import PrivatePlan, private_plan
from ecgfl_cli.training.private.random_stream import RandomStream

NO_CLIP = 1e9
COLUMNS = (
    "| patients | clip | epsilon of the first night | nights | gradient norm | clipped | signal to "
    "noise |"
)


@dataclass(frozen=True)
class Step:
    """What a step consists of.

    Attributes
    ----------
    norm
        Median norm of a patient's gradient before clipping.
    clipped
        Share of the patients whose gradient is clipped.
    signal
        Norm of the expected sum of the clipped gradients, as a multiple of the norm of the noise.
    """

    norm: float
    clipped: float
    signal: float


def ds1_site(folder: Path) -> Home:
    """Return a site with the recordings of DS1."""
    home = Home(folder / "site")
    for arguments in (
        ("init", "--site", "ds1"),
        ("ingest", *(str(DATA / "mitdb" / f"{record}.hea") for record in DS1), "--jobs", "1"),
        ("segment", "--jobs", "1"),
    ):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if code := run(["--home", str(home.root), *arguments]):
                raise RuntimeError(f"ecgfl {arguments[0]}: exit code {code}")
    return home


def divided(examples: Examples, parts: int) -> Examples:
    """Divide the beats of each patient among several patients."""
    patient = examples.patient * parts
    for number in np.unique(examples.patient):
        rows = np.flatnonzero(examples.patient == number)
        patient[rows] += np.arange(rows.size) % parts
    return Examples(examples.rows, examples.widths, examples.kind, examples.weight, patient)


def step_of(
    examples: Examples, kind: Architecture, plan: PrivatePlan, patients: NDArray[np.int64]
) -> Step:
    """Measure a step from the starter model."""
    registry = starter_registry()
    version = registry.current()
    assert version is not None
    _, network = registry.load(version)
    torch.manual_seed(0)
    parameters = mechanism._trained_parameters(network, kind, plan.trained)
    network.train()
    mechanism._switch_dropout_off(network)
    read = mechanism._ExampleReader(examples, kind, RandomStream())
    single = patient_sums(network, parameters, read, examples, NO_CLIP)
    norms = np.array(
        [float(torch.linalg.vector_norm(single(np.array([patient])))) for patient in patients]
    )
    total = patient_sums(network, parameters, read, examples, plan.max_grad_norm)(patients)
    noise = plan.noise_multiplier * plan.max_grad_norm * np.sqrt(total.numel())
    return Step(
        float(np.median(norms)),
        float(np.mean(norms > plan.max_grad_norm)),
        plan.sampling * float(torch.linalg.vector_norm(total)) / noise,
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, nargs="+", default=[30, 100, 300])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=float, nargs="+", default=[PrivacyPolicy().max_grad_norm])
    options = parser.parse_args()
    privacy, kind = PrivacyPolicy(), architecture(DEFAULT)
    night = [mechanism_of(privacy)] * options.rounds
    epsilon = epsilon_of(night, privacy.delta)
    by_fixed_plan = epsilon_of_fixed_plan(night, privacy.delta)
    nights = rounds_within(privacy, []) // options.rounds
    print(f"{privacy}; a night has {options.rounds} rounds")
    print(f"epsilon of the first night {epsilon:.2f}, or {by_fixed_plan:.2f} by a fixed plan")
    with TemporaryDirectory() as folder:
        examples = load_dataset(ds1_site(Path(folder)), kind).train
        real = len(np.unique(examples.patient))
        print(f"{real} real patients, {len(examples)} rows\n\n{COLUMNS}\n{7 * '|---'}|")
        for count in options.patients:
            some = divided(examples, -(-count // real))
            patients = np.random.default_rng(0).permutation(np.unique(some.patient))[:count]
            for clip in options.clips:
                policy = Policy(dp=privacy.model_copy(update={"max_grad_norm": clip}))
                training = TrainingPlan(1, kind.learning_rate, kind.batch_size, seed=0)
                step = step_of(some, kind, private_plan(policy, training), np.sort(patients))
                print(
                    f"| {count} | {clip:g} | {epsilon:.2f} | {nights} | {step.norm:.2f} |"
                    f" {step.clipped:.0%} | {step.signal:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
