"""`ecgfl init`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.console import console_of


def command(
    context: typer.Context,
    site: Annotated[str, typer.Option("--site", help="This site's name in the federation, e.g. st-mary.")],
    federation: Annotated[Path | None, typer.Option("--federation", help="federation.json from the coordinator.")] = None,
) -> None:
    """Make this site's home: settings, node key, and the coordinator's particulars if --federation is given."""
    from ecgfl_cli.federation.site.setup import make_site
    from ecgfl_cli.site.keys import fingerprint

    console = console_of(context, "init")
    home = console.home
    make_site(home, site, federation)
    digest = fingerprint(home.node_public_key)
    console.text(f"Home of site {site}: {home.root}")
    console.text(f"Public key to send to the coordinator: {home.node_public_key}")
    console.text(f"Its SHA-256, to be compared by telephone: {digest}")
    if not home.federation.is_file():
        console.say("No federation.json yet: when the coordinator sent it, run init again with --federation FILE.")
    console.result(
        home=home.root, site=site, public_key=home.node_public_key, sha256=digest, federation=home.federation.is_file()
    )
