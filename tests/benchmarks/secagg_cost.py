"""Measure what secure aggregation costs: bytes and processor seconds of one site, and of the sum.

python tests/benchmarks/secagg_cost.py [--sites 3 10 50] [--lost 0]

The sites have random changes of the weights of beatnet. All sides run in this process, one after
the other. Times are processor seconds. Bytes are those of the encoded messages that a site sends.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from ecgfl_cli.federation.flower.fleet import FleetConnection
from ecgfl_cli.federation.messages import Kind
from ecgfl_cli.federation.secagg.stages import REPLY
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.packing import pack
from ecgfl_cli.schemas import StrictModel
from ecgfl_cli.site.outbox import Release

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))
from secure_sites import parties

T = TypeVar("T")


class Site:
    """What one site has used."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.bytes = 0

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        began = time.process_time()
        result = work()
        self.seconds[stage] = time.process_time() - began
        return result

    def sends(self, kind: Kind, reply: StrictModel) -> None:
        release = Release(kind, texts={REPLY: reply.model_dump_json()})
        self.bytes += FleetConnection.sample(release).size


def measure(count: int, lost: int) -> str:
    """Return a row of the table for a round of this many sites."""
    start = pack(architecture("beatnet").build())
    random = np.random.default_rng(0)
    of = parties(count)
    sites = {name: Site() for name in of.names}
    coordinator = of.coordinator
    for name, site in sites.items():
        site.sends(Kind.KEYS, of.sides[name].keys)
    request = coordinator.shares_request()
    for name, site in sites.items():
        shares = site.timed("shares", lambda name=name: of.sides[name].shares(request))
        coordinator.take_shares(name, shares)
        site.sends(Kind.SHARES, shares)
    for name in of.names[lost:]:
        site, side = sites[name], of.sides[name]
        part = coordinator.training_for(name, 10.0)
        change = random.normal(0, 0.01, start.size)
        site.timed("open", lambda side=side, part=part: side.open_shares(part))
        masked = site.timed(
            "mask",
            lambda side=side, part=part, change=change: side.masked(part, change, start),
        )
        coordinator.updates[name] = masked
        release = Release("train", {"num-examples": 1000}, masked=masked)
        site.bytes += FleetConnection.sample(release).size
    survivors = coordinator.survivors_request()
    for name in coordinator.survivors:
        signed = sites[name].timed("sign", lambda name=name: of.sides[name].survivors(survivors))
        coordinator.take_signature(name, signed)
        sites[name].sends(Kind.SURVIVORS, signed)
    unmask = coordinator.unmask_request()
    for name in coordinator.survivors:
        answer = sites[name].timed("unmask", lambda name=name: of.sides[name].unmask(unmask))
        coordinator.take_unmasking(name, answer)
        sites[name].sends(Kind.UNMASK, answer)
    began = time.process_time()
    coordinator.unmasked_mean()
    summed = time.process_time() - began
    survivor = sites[of.names[-1]]
    others = sum(survivor.seconds.values()) - survivor.seconds["mask"]
    plain = FleetConnection.sample(Release("train", {"num-examples": 1000}, start)).size
    return (
        f"| {count} | {lost} | {survivor.bytes / 1024:.0f} | {plain / 1024:.0f} "
        f"| {survivor.seconds['mask']:.3f} | {others:.3f} | {summed:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sites", type=int, nargs="+", default=[3, 10, 50])
    parser.add_argument("--lost", type=int, default=0)
    arguments = parser.parse_args()
    print(
        "| sites | lost | KiB sent by a site | without secure aggregation "
        "| s for its masks | s for its other stages | s for the sum |"
    )
    print("|---|---|---|---|---|---|---|")
    for count in arguments.sites:
        print(measure(count, arguments.lost), flush=True)


if __name__ == "__main__":
    main()
