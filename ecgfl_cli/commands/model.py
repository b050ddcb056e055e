"""`ecgfl model list|show|use|rollback|verify|repair|export|import`."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.commands.lazy_group import ModelGroup
from ecgfl_cli.commands.options import Model
from ecgfl_cli.console import console_of, fields_of
from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.model_export import export_registry, export_roots, require_exportable
from ecgfl_cli.files import atomic_write_bytes, readable_as_usual
from ecgfl_cli.models.entries import Entry
from ecgfl_cli.models.model_file import model_file
from ecgfl_cli.models.provenance import lineage
from ecgfl_cli.models.repair import repair_models
from ecgfl_cli.models.site_models import model_change, registry_of, site_registry
from ecgfl_cli.models.starter import MODEL_CARD, starter_registry
from ecgfl_cli.site.lock import exclusive

app = typer.Typer(
    cls=ModelGroup,
    help="Manage the models that this site received, and the starter model.",
    no_args_is_help=True,
)

Version = Annotated[
    str, typer.Argument(help="A version, as `model list` prints it.", metavar="VERSION")
]


@app.command("list")
def list_models(context: typer.Context) -> None:
    """List the versions, oldest first."""
    console = console_of(context, "model-list")
    console.home.require_site()
    registry = site_registry(console.home)
    entries, current = (
        [*starter_registry().entries(), *registry.entries()],
        registry.current() or starter_registry().current(),
    )
    console.table(
        "Models",
        (
            "version ",
            "current ",
            "test ",
            "run ",
            "round",
            "sites",
            "beats",
            "created ",
            "SHA-256 ",
        ),
        [
            (
                *(
                    manifest.version,
                    "yes" if manifest.version == current else "",
                    outcome,
                    manifest.run,
                    f"{manifest.round}/{manifest.rounds}",
                ),
                *(
                    manifest.sites,
                    manifest.examples,
                    manifest.created,
                    manifest.weights_sha256[:12],
                ),
            )
            for manifest, outcome in ((entry.manifest, _outcome(entry)) for entry in entries)
        ],
    )
    models = [
        {**entry.manifest.model_dump(by_alias=True), "acceptance": entry.acceptance}
        for entry in entries
    ]
    console.result(current=current, models=models)


@app.command()
def show(
    context: typer.Context,
    version: Annotated[
        str | None,
        typer.Argument(help="A model version. Default: the current one.", metavar="[VERSION]"),
    ] = None,
) -> None:
    """Show the details of a version, and the model card of the starter model."""
    console = console_of(context, "model-show")
    registry = registry_of(console.home, version)
    entry = registry.entry(version or registry.current() or "")
    fields = entry.manifest.model_dump(by_alias=True, mode="json")
    rows = fields_of(fields)
    if entry.acceptance is not None:
        rows.append(("acceptance test", f"{_outcome(entry)}: {entry.acceptance.get('reason')}"))
    console.table(f"Model {entry.manifest.version}", ("field ", "value "), rows)
    shipped = entry.manifest.version in starter_registry().versions()
    if shipped:
        console.block(MODEL_CARD.read_text(encoding="utf-8"))
    console.result(
        model=fields,
        received=entry.received,
        acceptance=entry.acceptance,
        card=MODEL_CARD if shipped else None,
    )


@app.command()
def use(context: typer.Context, version: Version) -> None:
    """Make a version the current model, which `predict` uses until the next one is accepted.

    This can also be the starter model.
    """
    console = console_of(context, "model-use")
    home = console.home
    home.require_site()
    with exclusive(home.lock):
        chosen, received = registry_of(home, version), site_registry(home)
        chosen.load(version)
        with model_change(home, received, "model-promoted", version=version, by="hand"):
            received.promote(version if version in received.versions() else None)
    console.text(f"The current model is now {version}.")
    console.result(version=version)


@app.command()
def rollback(context: typer.Context) -> None:
    """Return to the model that was current before; a second call goes back one further."""
    console = console_of(context, "model-rollback")
    home = console.home
    home.require_site()
    with exclusive(home.lock):
        left, received = registry_of(home, None).current(), site_registry(home)
        version = received.previous() or starter_registry().current() or ""
        registry_of(home, version).load(version)
        with model_change(home, received, "model-rolled-back", version=version, left=left):
            received.roll_back()
    console.text(f"The current model is now {version}, as before {left}.")
    console.result(version=version, left=left)


@app.command("export")
def export_model(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")],
    version: Model = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Export a version to a file, for `model import` at a site without a network connection.

    This works in the home of a site or of a coordinator.
    """
    console = console_of(context, "model-export")
    registry = export_registry(console.home)
    chosen = version or registry.current()
    if chosen is None:
        raise UsageError(
            "no model of a federation is here",
            "Take part in a run (`ecgfl join`), or name one: --model VERSION",
        )
    if file.exists() and not force:
        raise UsageError(
            f"{file} is there already", "Choose another name, or replace it with --force"
        )
    require_exportable(console.home, chosen)
    data = model_file(registry, chosen, export_roots(console.home))
    with readable_as_usual():
        atomic_write_bytes(file, data)
    digest = sha256(data).hexdigest()
    console.text(f"{file}: model {chosen}, {len(data)} bytes, SHA-256 {digest}.")
    console.result(version=chosen, file=file, bytes=len(data), sha256=digest)


@app.command()
def verify(context: typer.Context) -> None:
    """Verify the signature and hash of every version, and trace the newest to the first one.

    The key for received versions is in federation.json. Exit code 7 if a version was changed, or
    names a parent that is not the model of that name. Manifests whose weights were removed
    (models.keep in site.toml) are traced, too.
    """
    console = console_of(context, "model-verify")
    console.home.require_site()
    received = site_registry(console.home)
    versions = []
    for registry in (starter_registry(), received):
        for version in registry.versions():
            registry.load(version)
            versions.append(version)
    traced = lineage(received)
    console.text(f"{len(versions)} models: signatures and hashes are right.")
    if traced.versions:
        end = (
            "the first one"
            if traced.missing is None
            else f"whose parent {traced.missing} this site did not receive"
        )
        console.text(
            f"{traced.versions[0]} is traced through {len(traced.versions)} manifests to "
            f"{traced.versions[-1]}, {end}."
        )
    console.result(versions=versions, lineage=traced.versions, missing_parent=traced.missing)


@app.command()
def repair(context: typer.Context) -> None:
    """Move damaged models out of the way and keep the others.

    Changes nothing if every file is as ecgfl wrote it. What is moved goes to a folder models-TIME
    in the home. The number of the newest model stays, so that no older model is accepted.
    """
    console = console_of(context, "model-repair")
    home = console.home
    home.require_site()
    with exclusive(home.lock):
        done = repair_models(home)
    for problem in done.problems:
        console.text(problem)
    if not done.problems:
        console.text("Every model is as ecgfl wrote it; nothing was changed.")
    if done.aside is not None:
        console.text(f"Moved to {done.aside}: {', '.join(done.moved)}")
    current = done.current or starter_registry().current()
    console.text(f"The current model is {current}.")
    console.result(problems=done.problems, moved=done.moved, folder=done.aside, current=current)


def _outcome(entry: Entry) -> str | None:
    """Return the result of the acceptance test; None if there was none."""
    if entry.acceptance is None:
        return None
    return "rejected" if entry.is_rejected else "accepted"
