"""`ecgfl simulate`."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.beats.window import Window
from ecgfl_cli.commands.options import (
    ArchitectureName,
    FollowLinks,
    Jobs,
    LearningRate,
    LocalEpochs,
)
from ecgfl_cli.commands.reading import reading_of
from ecgfl_cli.commands.recordings import named_recordings
from ecgfl_cli.console import Console, console_of, percent
from ecgfl_cli.errors import ExitCode, UsageError
from ecgfl_cli.federation.simulation.comparison_page import comparison_page
from ecgfl_cli.federation.simulation.ray_engine import require_engine
from ecgfl_cli.federation.simulation.simulate import Simulated, simulate
from ecgfl_cli.federation.simulation.site_stores import SourceFolder, site_of_folder, sites_of_home
from ecgfl_cli.federation.simulation.trial import require_different, trial
from ecgfl_cli.federation.simulation.virtual_sites import VirtualSite
from ecgfl_cli.files import atomic_write_bytes, readable_as_usual
from ecgfl_cli.models.architecture import DEFAULT, architecture
from ecgfl_cli.models.manifest import Metrics

FEWEST_SITES = 2


def command(
    context: typer.Context,
    sites: Annotated[
        int | None,
        typer.Option(
            "--sites",
            min=FEWEST_SITES,
            help="Distribute this site's patients over this number of virtual sites.",
        ),
    ] = None,
    folders: Annotated[
        list[Path] | None,
        typer.Option(
            "--folder",
            help="Folder with the recordings of one virtual site. Give two or more, not --sites.",
        ),
    ] = None,
    strategies: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            help="A strategy of `coordinator serve`, with its own options as in "
            "fedprox:proximal-mu=0.1. Repeat the option to compare several.  [default: fedavg]",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds of training.")] = 5,
    arch: ArchitectureName = DEFAULT,
    local_epochs: LocalEpochs = None,
    learning_rate: LearningRate = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            max=1_000_000_000,
            help="Seed for the initial weights, shuffling, and the distribution of patients.",
        ),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write each strategy's report with its curves into this folder."
        ),
    ] = None,
    jobs: Jobs = 1,
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch",
            help=(
                "Start from random weights instead of the starter model, like `coordinator serve`."
            ),
        ),
    ] = False,
    follow_links: FollowLinks = False,
) -> None:
    """Compare strategies on virtual sites on this machine, before hospitals take part.

    Nothing is sent.
    """
    console = console_of(context, "simulate")
    folders = folders or []
    if (sites is None) == (not folders) or len(folders) == 1:
        raise UsageError(
            "Give either --sites N, to distribute this site's patients, or two or more --folder, "
            "one for each virtual site",
            "For instance `ecgfl simulate --sites 4`",
        )
    require_engine()
    if out is not None:
        with readable_as_usual():
            out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecgfl-simulate-")))
        options = {
            "rounds": rounds,
            "min_sites": sites or len(folders),
            "architecture": arch,
            "local_epochs": local_epochs,
            "learning_rate": learning_rate,
            "seed": seed,
        }
        origins = {"min_sites": "--folder" if folders else "--sites"}
        trials = [
            trial(text, options, origins, from_scratch)
            for text in dict.fromkeys(strategies or ["fedavg"])
        ]
        require_different(trials)
        window = architecture(arch).window
        if sites is None:
            virtual = [
                _site_of_folder(
                    console, path, folder / f"site-{number}", window, jobs, follow_links
                )
                for number, path in enumerate(folders, 1)
            ]
        else:
            virtual, cut = stack.enter_context(
                sites_of_home(
                    console.home, sites, seed, folder, window, jobs, console.tracker("segment")
                )
            )
            if cut:
                console.say(
                    f"cut the beats of {cut} recordings into {console.home.beats}; nothing else "
                    "in this home changes"
                )
        _show_sites(console, virtual)
        with readable_as_usual():
            done = simulate(virtual, trials, folder / "coordinator", out, jobs)
    _show(console, done)
    comparison = None if out is None else out / "comparison.html"
    if comparison is not None:
        with readable_as_usual():
            atomic_write_bytes(comparison, comparison_page(done).encode())
        console.text(f"All of them in one page: {comparison}")
    problems = [
        f"{run.name}: {run.report.problem}" for run in done if run.report.problem is not None
    ]
    for line in problems:
        console.problem(line)
    code = ExitCode.INPUT if problems else ExitCode.DONE
    console.result(
        code,
        architecture=arch,
        page=comparison,
        sites=[
            {
                "site": site.name,
                "recordings": site.recordings,
                "train_patients": site.train_patients,
                "held_out_patients": site.held_out_patients,
                "train_pvcs": site.train_pvcs,
            }
            for site in virtual
        ],
        runs=[
            {
                "strategy": run.name,
                "outcome": run.report.outcome,
                "problem": run.report.problem,
                "page": run.page,
                "seconds": round(run.seconds, 1),
                "rounds": [
                    {
                        **result.as_dict(),
                        "gross": None if result.gross is None else result.gross.model_dump(),
                    }
                    for result in run.report.rounds
                ],
            }
            for run in done
        ],
    )
    raise typer.Exit(code)


def _site_of_folder(
    console: Console, path: Path, root: Path, window: Window, jobs: int, follow_links: bool
) -> VirtualSite:
    """Return a virtual site with the recordings of a folder; its store is in `root`."""
    recordings = named_recordings(console, [path], follow_links=follow_links)
    reading = reading_of(console, "auto", None, named=(path,), follow_links=follow_links)
    return site_of_folder(
        SourceFolder(path, recordings, reading),
        root,
        window,
        jobs,
        console.tracker(f"ingest {path.name}"),
        console.tracker("segment"),
        console.problem,
    )


def _show_sites(console: Console, sites: list[VirtualSite]) -> None:
    console.table(
        "Virtual sites",
        ("site ", "recordings", "patients to train on", "PVCs among them", "patients held out"),
        [
            (
                site.name,
                site.recordings,
                site.train_patients,
                site.train_pvcs,
                site.held_out_patients,
            )
            for site in sites
        ],
    )


def _show(console: Console, done: list[Simulated]) -> None:
    """Print F1 after each round, and a comparison of the strategies."""
    if done:
        console.text(f"Each strategy started from {done[0].report.start}.")
    longest = max((len(run.report.rounds) for run in done), default=0)
    console.table(
        "F1 % on the held-out patients, after each round",
        ("round", *(run.name for run in done)),
        [
            (
                index + 1,
                *(
                    _f1(run.report.rounds[index].gross) if index < len(run.report.rounds) else None
                    for run in done
                ),
            )
            for index in range(longest)
        ],
    )
    console.table(
        "Strategies after their last round, on the held-out patients",
        (
            "strategy ",
            "rounds",
            "beats",
            "PVCs",
            "loss",
            "sensitivity %",
            "precision %",
            "F1 %",
            "seconds",
        ),
        [
            (
                run.name,
                len(run.report.rounds),
                *_figures(run.last.gross if run.last else None),
                run.seconds,
            )
            for run in done
        ],
    )


def _figures(metrics: Metrics | None) -> tuple[object, ...]:
    if metrics is None:
        return (None,) * 6
    shares = percent(metrics.sensitivity), percent(metrics.precision), _f1(metrics)
    return (
        metrics.beats,
        metrics.pvcs,
        None if metrics.loss is None else f"{metrics.loss:.4f}",
        *shares,
    )


def _f1(metrics: Metrics | None) -> float | None:
    return None if metrics is None else percent(metrics.f1)
