"""Prepare homes for the benchmarks: a coordinator, and enrolled sites with synthetic recordings."""

import contextlib
import io
import re
from pathlib import Path

from ecgfl_adapters.registry import adapters

from ecgfl_cli.app import run
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.site.home import Home

SITES = ("alice", "bob", "carol")
PATIENTS = 3
"""Patients of a site: the smallest number of which one is held out."""

POLICY = (
    "acceptance_margin = 1.0",
    'architectures = ["beatnet", "ecgnet"]',
    "min_steps = 1",
    "min_training_patients = 1",
    "min_training_beats = 100",
    "min_held_out_patients = 1",
)
"""Policy of a site with so few patients."""


def prepare(folder: Path, seconds: float) -> tuple[Home, dict[str, Home]]:
    """Return the coordinator's home and each site's, in a folder.

    seconds: length of each patient's recording.
    """
    coordinator = Home(folder / "coordinator")
    _ecgfl(coordinator, "coordinator", "init", "--name", "localhost")
    federation = CoordinatorHome(coordinator.coordinator).federation
    homes = {name: Home(folder / name) for name in SITES}
    for number, (name, home) in enumerate(homes.items()):
        exports = folder / "exports" / name
        exports.mkdir(parents=True)
        for patient in range(PATIENTS):
            adapters()["wfdb"].write(
                synthesise(10 * number + patient, seconds, 250, pvc_share=0.15), exports
            )
        _ecgfl(home, "init", "--site", name, "--federation", str(federation))
        # A model trained on a little synthetic ECG is worse than the starter model, and acceptance
        # is not measured here.
        text = home.settings.read_text()
        for line in POLICY:
            text, count = re.subn(rf"(?m)^{line.split(' ')[0]} = .*$", line, text)
            if count != 1:
                raise RuntimeError(f"{home.settings}: no line {line.split(' ')[0]} to replace")
        home.settings.write_text(text)
        _ecgfl(coordinator, "coordinator", "enrol", str(home.node_public_key), "--site", name)
        _ecgfl(home, "ingest", str(exports))
        _ecgfl(home, "segment")
    return coordinator, homes


def _ecgfl(home: Home, *arguments: str) -> None:
    """Run a command in this process."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        code = run(["--home", str(home.root), *arguments])
    if code != 0:
        raise RuntimeError(f"ecgfl {' '.join(arguments)}: exit code {code}: {errors.getvalue()}")
