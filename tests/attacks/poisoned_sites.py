"""Measure how strategies withstand attacks by one of five sites.

python tests/attacks/poisoned_sites.py [--data FOLDER] [--rounds 3] [--seed 0]

The 22 records of mitdb with the most PVCs and without a pacemaker are distributed to five virtual
sites, as `ecgfl simulate` does it. Four sites are honest, with one held-out patient each; one
attacks in all rounds. Sites train and evaluate with the code of `join`. Models, calibrations and
thresholds are made with the code of `serve`, with its checks of the replies and its default limits.
The answer of an honest site to a model is computed once.

It prints a Markdown table: F1 in % of the final model, gross over the held-out patients of the four
honest sites, for each attack and strategy. A star marks the runs in which the report names the
attacker: as a site that deviates, whose weight is capped, or whose reply is left out. It takes a
few minutes on two cores.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ed25519
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))

from invented_figures import CLAIMED, perfect

from ecgfl_cli.app import run
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.rounds.rounds import Rounds
from ecgfl_cli.federation.coordinator.rounds.strategy import aggregator_of
from ecgfl_cli.federation.coordinator.runs.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult, RunPlan
from ecgfl_cli.federation.coordinator.runs.run_record import RunRecord
from ecgfl_cli.federation.flower import quieten
from ecgfl_cli.federation.messages import (
    EXAMPLES,
    Content,
    Figure,
    Kind,
    content_of_release,
    weights_of,
)
from ecgfl_cli.federation.simulation.simulate import _AllPresent, _permissive_policy
from ecgfl_cli.federation.simulation.trial import trial
from ecgfl_cli.federation.simulation.virtual_participant import VirtualParticipants, _work
from ecgfl_cli.federation.simulation.virtual_sites import VirtualSite, deal
from ecgfl_cli.federation.transport import InMemoryTransport, Request
from ecgfl_cli.models.architecture import PVC, architecture
from ecgfl_cli.models.calibration import COUNTS
from ecgfl_cli.models.manifest import public_key_text
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import SECRET_BYTES
from ecgfl_cli.training.dataset import Dataset, HeldOut
from ecgfl_cli.training.examples import Examples

ARCHITECTURE = "ecgnet"
SITES = 5
ATTACKER = SITES
"""Node number of the attacker, the last site."""

Figures = dict[str, Figure]
Weights = NDArray[np.float32]

RECORDS = "105 106 109 114 116 119 124 200 201 203 205 207 208 210 213 214 215 219 221 223 228 233"

STRATEGIES = ("fedavg", "median", "trimmed-mean", "krum")
DEFAULT_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def flipped(examples: Examples) -> Examples:
    """Label PVCs as normal, and all other beats as PVCs."""
    return replace(examples, kind=np.where(examples.is_pvc, 0, PVC))


class FlippedHeldOut(HeldOut):
    """Held-out patients with flipped labels."""

    def __iter__(self) -> Iterator[Examples]:
        return map(flipped, super().__iter__())


def flipped_dataset(honest: Dataset) -> Dataset:
    """Return the data set with flipped labels, for training and evaluation."""
    held_out = FlippedHeldOut(honest.held_out.records, honest.held_out.architecture)
    return replace(honest, train=flipped(honest.train), held_out=held_out)


@dataclass(frozen=True)
class Attack:
    """An attack.

    Attributes
    ----------
    title
        Description for the table.
    flips_labels
        Whether the labels of the attacker's beats are flipped.
    train
        Returns the attacker's weights, from its figures, its own weights and the global ones.
    evaluate
        The figures that it claims; None for its own.
    """

    title: str
    flips_labels: bool = False
    train: Callable[[Figures, Weights, Weights], Weights] = lambda _, own, __: own
    evaluate: Figures | None = None


def reversed_update(figures: Figures, own: Weights, before: Weights) -> Weights:  # noqa: ARG001
    """Return five times the update, in the opposite direction.

    The largest norm that is accepted is ten times the median.
    """
    return before - 5 * (own - before)


def many_beats(figures: Figures, own: Weights, before: Weights) -> Weights:  # noqa: ARG001
    """Claim the largest number of training beats that is accepted."""
    figures[EXAMPLES] = 2 * CLAIMED
    return own


ATTACKS = (
    Attack("none"),
    Attack("weights: the reversed update, five times as large", train=reversed_update),
    Attack("labels: flipped", flips_labels=True),
    Attack("counts: flipped labels, 10 million beats claimed", flips_labels=True, train=many_beats),
    Attack(
        "histograms: 10 million beats, to reduce the number of PVCs found",
        evaluate=perfect(2.75, 5.75),
    ),
    Attack(
        "histograms: 10 million beats, to classify nearly all beats as PVCs",
        evaluate=perfect(-6.25, -5.25),
    ),
)
assert COUNTS == 30


class Sites:
    """The virtual sites, for all runs.

    Attributes
    ----------
    key
        Signing key of the simulated coordinator.
    known
        The answers that were computed before.
    """

    def __init__(self, sites: list[VirtualSite], plan: RunPlan) -> None:
        self.names = {node: site.name for node, site in enumerate(sites, start=1)}
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.known: dict[str, Content] = {}
        policy = _permissive_policy([plan])
        signing_key = public_key_text(self.key.public_key())
        self.participants = VirtualParticipants(sites, policy, signing_key)
        self._attacker = _work(sites[ATTACKER - 1], policy)
        honest = self._attacker._dataset(architecture(ARCHITECTURE))
        self._datasets = {False: honest, True: flipped_dataset(honest)}

    def flip_labels(self, flip: bool) -> None:
        """Set the labels of the attacker's beats."""
        self._attacker._datasets[ARCHITECTURE] = self._datasets[flip]


class Attacked:
    """The answers of the sites, the last of which attacks. checkpoints: the models they get."""

    def __init__(self, sites: Sites, attack: Attack, checkpoints: Checkpoints) -> None:
        self._sites, self._attack, self._checkpoints = sites, attack, checkpoints
        sites.flip_labels(attack.flips_labels)

    @property
    def transport(self) -> InMemoryTransport:
        return InMemoryTransport(dict.fromkeys(self._sites.names, self._answer))

    def _answer(self, request: Request) -> Content:
        is_attacker = request.node == ATTACKER
        content = self._own(request, is_attacker and self._attack.flips_labels)
        return self._attacked(request, content) if is_attacker else content

    def _own(self, request: Request, flipped: bool) -> Content:
        """Return the answer of the site's own code. It is computed once for a model."""
        node, kind, manifest = request.node, request.kind, self._checkpoints.latest.manifest
        decision = (
            ()
            if kind is Kind.TRAIN
            else (manifest.threshold, manifest.calibration.scale, manifest.calibration.offset)
        )
        key = str((node, flipped, kind, manifest.round, manifest.weights_sha256, *decision))
        known = self._sites.known
        if key not in known:
            release = self._sites.participants.answer(node - 1, kind, request.content)
            known[key] = content_of_release(release)
        return known[key]

    def _attacked(self, request: Request, content: Content) -> Content:
        if request.kind is not Kind.TRAIN:
            claimed = self._attack.evaluate
            return content if claimed is None else Content(figures=claimed)
        figures = dict(content.figures)
        own, before = weights_of(content), weights_of(request.content)
        vector = self._attack.train(figures, own, before)
        return Content(figures=figures, weights=vector.astype(np.float32))


def honest_f1(result: RoundResult, attacker: str) -> float | None:
    """Return F1 of a round's model, gross over the honest sites."""
    honest = {name: site for name, site in result.by_site.items() if name != attacker}
    metrics = replace(result, by_site=honest).gross
    return None if metrics is None else metrics.f1


def is_named(rounds: list[RoundResult], attacker: str) -> bool:
    """Return whether the report names the attacker."""
    named = {
        name
        for result in rounds
        for name, site in result.by_site.items()
        if site.deviates or site.is_capped
    }
    return attacker in named | {reply.site for each in rounds for reply in each.dropped}


def plan_of(strategy: str, rounds: int, seed: int) -> RunPlan:
    """Return the plan of a run, with the default limits."""
    options = {
        "rounds": rounds,
        "min_sites": SITES,
        "architecture": ARCHITECTURE,
        "local_epochs": 1,
        "seed": seed,
    }
    return trial(strategy, options, {}).plan


def cell(sites: Sites, attack: Attack, plan: RunPlan) -> str:
    """Run an attack against a strategy. Return the table cell: F1 in % of the final model."""
    with tempfile.TemporaryDirectory(prefix="ecgfl-attack-") as folder:
        checkpoints = Checkpoints(CoordinatorHome(Path(folder)), sites.key, plan)
        record = RunRecord(None, plan, checkpoints.latest.manifest)
        attacked = Attacked(sites, attack, checkpoints)
        present = _AllPresent(sites.names)
        aggregator = aggregator_of(plan)
        rounds = Rounds(plan, aggregator, checkpoints, present, record)
        rounds.run(attacked.transport)
    attacker = sites.names[ATTACKER]
    f1 = honest_f1(record.report.rounds[-1], attacker)
    return f"{0.0 if f1 is None else 100 * f1:.1f}" + (
        "*" if is_named(record.report.rounds, attacker) else ""
    )


def prepared(folder: Path, data: Path, seed: int) -> list[VirtualSite]:
    """Return the virtual sites with the patients of mitdb."""
    home = folder / "home"
    records = [str(data / "mitdb" / f"{name}.hea") for name in RECORDS.split()]
    for command in (
        ("init", "--site", "st-mary"),
        ("ingest", *records, "--jobs", "2"),
        ("segment", "--arch", ARCHITECTURE),
    ):
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as said:
            code = run(["--home", str(home), *command])
        if code:
            raise SystemExit(f"ecgfl {' '.join(command)} ended with {code}: {said.getvalue()}")
        if command[0] == "init":
            # The pseudonyms decide which patients are held out: keep them the same in each run.
            Home(home).secret.write_bytes(bytes(SECRET_BYTES))
    return deal(Home(home), SITES, seed, folder / "sites")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("ECGFL_TEST_DATA", DEFAULT_DATA))
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=STRATEGIES)
    given = parser.parse_args()
    quieten()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ecgfl-attacks-") as folder:
        plans = [plan_of(strategy, given.rounds, given.seed) for strategy in given.strategies]
        sites = Sites(prepared(Path(folder), given.data, given.seed), plans[0])
        print(
            f"| attack of one of {SITES} sites | "
            + " | ".join(f"`{name}`" for name in given.strategies)
            + " |"
        )
        print("|---" * (1 + len(given.strategies)) + "|", flush=True)
        for attack in ATTACKS:
            cells = [cell(sites, attack, plan) for plan in plans]
            print(f"| {attack.title} | {' | '.join(cells)} |", flush=True)
    seconds = time.monotonic() - began
    print(
        f"{given.rounds} rounds of one local epoch, seed {given.seed}; {seconds:.0f} s",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
