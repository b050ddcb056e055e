"""`ecgfl coordinator model list|show|rollback`."""

from typing import Annotated

import typer

from ecgfl_cli.commands.lazy_group import HelpGroup
from ecgfl_cli.console import Console, console_of
from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.identity.signing_keys import coordinator_registry
from ecgfl_cli.federation.coordinator.runs.global_models import VERDICT_IN_WORDS, GlobalModels
from ecgfl_cli.federation.coordinator.runs.rollback import roll_back
from ecgfl_cli.models.entries import Entry
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.site.lock import exclusive

app = typer.Typer(
    cls=HelpGroup,
    help="Manage the models that this coordinator signed.",
    no_args_is_help=True,
)


@app.command("list")
def list_models(
    context: typer.Context,
    every_round: Annotated[
        bool, typer.Option("--all", help="Include the models of all rounds, not only final ones.")
    ] = False,
) -> None:
    """List the starter model and the final model of each run, oldest first."""
    console, _, models = _models(context, "coordinator-model-list")
    current = models.registry.current()
    starter = [(entry, "came with the program") for entry in starter_registry().entries()]
    known = models.registry.entries()
    entries = [
        (entry, _state(models, entry, known))
        for entry in known
        if every_round or entry.manifest.is_final
    ]
    console.table(
        "Models",
        (
            "version ",
            "current ",
            "state ",
            "run ",
            "round",
            "sites",
            "beats",
            "parent ",
            "created ",
        ),
        [
            (
                *(
                    manifest.version,
                    "yes" if manifest.version == current else "",
                    state,
                    manifest.run,
                    f"{manifest.round}/{manifest.rounds}",
                ),
                *(manifest.sites, manifest.examples, manifest.parent, manifest.created[:19]),
            )
            for manifest, state in (
                (entry.manifest, state) for entry, state in [*starter, *entries]
            )
        ],
    )
    console.result(
        current=current,
        models=[
            {**entry.manifest.model_dump(by_alias=True), "state": state}
            for entry, state in [*starter, *entries]
        ],
    )


@app.command()
def show(
    context: typer.Context,
    version: Annotated[
        str | None,
        typer.Argument(help="A model version. Default: the current one.", metavar="[VERSION]"),
    ] = None,
) -> None:
    """Show the details of a model version and each site's verdict on it."""
    console, _, models = _models(context, "coordinator-model-show")
    version = version or models.registry.current()
    if version is None:
        raise UsageError(
            "this coordinator has no final model yet",
            "Name a version: `ecgfl coordinator model list --all`",
        )
    shipped = version not in models.registry.versions() and version in starter_registry().versions()
    if not shipped and version not in models.registry.versions():
        raise UsageError(
            f"this coordinator has no model '{version}'",
            "`ecgfl coordinator model list --all` shows the models",
        )
    entry = (starter_registry() if shipped else models.registry).entry(version)
    standing = models.standing(entry)
    state = "came with the program" if shipped else _state(models, entry, models.registry.entries())
    fields = entry.manifest.model_dump(by_alias=True, mode="json")
    figures = entry.manifest.parent_metrics
    shown = {
        **fields,
        "calibration": (
            f"scale {entry.manifest.calibration.scale:g}, offset "
            f"{entry.manifest.calibration.offset:g}"
        ),
    }
    if figures is not None:
        shares = [
            f"{name} {value:.4f}"
            for name, value in figures.model_dump().items()
            if isinstance(value, float)
        ]
        shown["parent_metrics"] = ", ".join(
            [f"{figures.beats} beats", f"{figures.pvcs} PVCs", *shares]
        )
    console.table(
        f"Model {version}",
        ("field ", "value "),
        [
            ("state", state),
            *(
                (name.replace("_", " "), None if value is None else str(value))
                for name, value in shown.items()
            ),
        ],
    )
    console.table(
        "Sites",
        ("site ", "its own test "),
        [(site, VERDICT_IN_WORDS[code]) for site, code in standing.verdicts.items()],
    )
    console.result(
        model=fields,
        state=state,
        verdicts=dict(standing.verdicts),
        rolled_back=standing.rolled_back,
    )


@app.command()
def rollback(
    context: typer.Context,
    version: Annotated[
        str | None,
        typer.Argument(
            help="The final model to go back to. Default: the one before the newest.",
            metavar="[VERSION]",
        ),
    ] = None,
) -> None:
    """Publish an older final model under a new number.

    Later models are no longer sent to sites or used to start a run.
    """
    console, home, _ = _models(context, "coordinator-model-rollback")
    with exclusive(home.lock):
        done = roll_back(home, version)
    console.text(f"The newest model is now {done.version}, with the weights of {done.weights_of}.")
    console.text(
        f"Rolled back: {', '.join(done.withdrawn)}. No run starts from these models, and no site "
        "receives them."
    )
    console.text(
        "Each site receives the model when it next joins, and tests it like any other. The next "
        "run starts from it."
    )
    console.result(version=done.version, weights_of=done.weights_of, withdrawn=done.withdrawn)


def _models(context: typer.Context, verb: str) -> tuple[Console, CoordinatorHome, GlobalModels]:

    console = console_of(context, verb)
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    return (
        console,
        home,
        GlobalModels(
            home,
            coordinator_registry(home),
        ),
    )


def _state(models: GlobalModels, entry: Entry, entries: list[Entry]) -> str:
    standing = models.standing(entry)
    if standing.rolled_back is not None:
        return f"rolled back {standing.rolled_back}"
    if (problem := models.problem(entry, entries)) is not None:
        return problem
    return standing.in_words() if entry.manifest.is_final else f"round {entry.manifest.round}"
