"""`ecgfl model list|use|verify`."""

from typing import Annotated

import typer

from ecgfl_cli.console import console_of

app = typer.Typer(help="The global models that this site received.", no_args_is_help=True)

Version = Annotated[str, typer.Argument(help="A version as `model list` shows it.", metavar="VERSION")]


@app.command("list")
def list_models(context: typer.Context) -> None:
    """List the versions, oldest first."""
    from ecgfl_cli.federation.site_setup import site_registry

    console = console_of(context, "model-list")
    console.home.require_site()
    registry = site_registry(console.home)
    entries, current = registry.entries(), registry.current()
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
        empty="No models yet: `ecgfl join` receives them.",
    )
    console.result(current=current, models=[entry.manifest.model_dump(by_alias=True) for entry in entries])


@app.command()
def use(context: typer.Context, version: Version) -> None:
    """Make a version the one that `predict` uses."""
    from ecgfl_cli.federation.site_setup import site_registry
    from ecgfl_cli.site.audit import AuditLog
    from ecgfl_cli.site.lock import exclusive

    console = console_of(context, "model-use")
    home = console.home
    home.require_site()
    with exclusive(home.lock):
        registry = site_registry(home)
        registry.load(version)
        registry.promote(version)
        AuditLog(home.audit).append("model-promoted", version=version, by="hand")
    console.text(f"The current model is now {version}.")
    console.result(version=version)


@app.command()
def verify(context: typer.Context) -> None:
    """Check every version's signature and hash against federation.json. Exit code 7 when one fails."""
    from ecgfl_cli.federation.site_setup import site_registry

    console = console_of(context, "model-verify")
    console.home.require_site()
    registry = site_registry(console.home)
    versions = registry.versions()
    for version in versions:
        registry.load(version)
    console.text(f"{len(versions)} models: signatures and hashes are right.")
    console.result(versions=versions)
