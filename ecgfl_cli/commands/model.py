"""`ecgfl model list|show|use|verify`."""

from typing import Annotated

import typer

from ecgfl_cli.console import console_of

app = typer.Typer(help="The global models that this site received, and the one that came with the program.", no_args_is_help=True)

Version = Annotated[str, typer.Argument(help="A version as `model list` shows it.", metavar="VERSION")]


@app.command("list")
def list_models(context: typer.Context) -> None:
    """List the versions, oldest first."""
    from ecgfl_cli.federation.site_setup import site_registry
    from ecgfl_cli.models.starter import starter_registry

    console = console_of(context, "model-list")
    console.home.require_site()
    registry = site_registry(console.home)
    entries, current = [*starter_registry().entries(), *registry.entries()], registry.current() or starter_registry().current()
    console.table(
        "Models",
        ("version ", "current ", "run ", "round", "sites", "beats", "created ", "SHA-256 "),
        [
            (
                *(each.version, "yes" if each.version == current else "", each.run, f"{each.round}/{each.rounds}"),
                *(each.sites, each.examples, each.created, each.weights_sha256[:12]),
            )
            for each in (entry.manifest for entry in entries)
        ],
    )
    console.result(current=current, models=[entry.manifest.model_dump(by_alias=True) for entry in entries])


@app.command()
def show(
    context: typer.Context,
    version: Annotated[str | None, typer.Argument(help="Without it the current one.", metavar="[VERSION]")] = None,
) -> None:
    """Show what is known of a version; of the one that came with the program, its model card."""
    from ecgfl_cli.federation.site_setup import registry_of
    from ecgfl_cli.models.starter import MODEL_CARD, starter_registry

    console = console_of(context, "model-show")
    registry = registry_of(console.home, version)
    entry = registry.entry(version or registry.current() or "")
    fields = entry.manifest.model_dump(by_alias=True, mode="json")
    console.table(f"Model {entry.manifest.version}", ("field ", "value "), [(name, str(value)) for name, value in fields.items()])
    shipped = entry.manifest.version in starter_registry().versions()
    if shipped:
        console.text(MODEL_CARD.read_text(encoding="utf-8"))
    console.result(model=fields, received=entry.received, card=MODEL_CARD if shipped else None)


@app.command()
def use(context: typer.Context, version: Version) -> None:
    """Make a version the one that `predict` uses: the one that came with the program too, until the next arrives."""
    from ecgfl_cli.federation.site_setup import registry_of, site_registry
    from ecgfl_cli.site.audit import AuditLog
    from ecgfl_cli.site.lock import exclusive

    console = console_of(context, "model-use")
    home = console.home
    home.require_site()
    with exclusive(home.lock):
        chosen, received = registry_of(home, version), site_registry(home)
        chosen.load(version)
        received.promote(version if version in received.versions() else None)
        AuditLog(home.audit).append("model-promoted", version=version, by="hand")
    console.text(f"The current model is now {version}.")
    console.result(version=version)


@app.command()
def verify(context: typer.Context) -> None:
    """Check every version's signature and hash: those received against federation.json. Exit code 7 when one fails."""
    from ecgfl_cli.federation.site_setup import site_registry
    from ecgfl_cli.models.starter import starter_registry

    console = console_of(context, "model-verify")
    console.home.require_site()
    versions = []
    for registry in (starter_registry(), site_registry(console.home)):
        for version in registry.versions():
            registry.load(version)
            versions.append(version)
    console.text(f"{len(versions)} models: signatures and hashes are right.")
    console.result(versions=versions)
