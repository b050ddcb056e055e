"""`ecgfl init`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.commands.options import Encrypt
from ecgfl_cli.console import console_of
from ecgfl_cli.federation.site.setup import NODE_KEY_MADE, make_site
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import fingerprint


def command(
    context: typer.Context,
    site: Annotated[
        str, typer.Option("--site", help="Name of this site in the federation, e.g. st-mary.")
    ],
    federation: Annotated[
        Path | None, typer.Option("--federation", help="federation.json from the coordinator.")
    ] = None,
    encrypt: Encrypt = False,
) -> None:
    """Create this site's home: settings and node key.

    With --federation, also install the coordinator's details. An existing home is kept.
    """
    console = console_of(context, "init")
    home = console.home
    was_there = home.settings.is_file()
    changed = make_site(home, site, federation, encrypt)
    digest = fingerprint(home.node_public_key)
    console.text(f"Home of site {site}: {home.root}")
    console.text(f"Public key to send to the coordinator: {home.node_public_key}")
    console.text(f"Its SHA-256, to be compared by telephone: {digest}")
    if was_there:
        console.text(
            f"This home already existed. {'Changed:' if changed else 'Nothing was changed.'}"
        )
        for line in changed:
            console.text(f"  {line}")
        if changed:
            console.text("Nothing else was changed.")
    next_step = _next_step(home, site, was_there, changed)
    console.text(f"Next: {next_step}")
    console.result(
        home=home.root,
        site=site,
        public_key=home.node_public_key,
        sha256=digest,
        federation=home.federation.is_file(),
        changed=changed,
        next=next_step,
    )


def _next_step(home: Home, site: str, was_there: bool, changed: list[str]) -> str:
    send = ""
    if NODE_KEY_MADE in changed:
        enrols = "revokes the old key and enrols this one" if was_there else "enrols it"
        send = f"send {home.node_public_key} to the coordinator, who {enrols}; "
    if not home.federation.is_file():
        return (
            f"{send}with the coordinator's federation.json, run "
            f"`ecgfl init --site {site} --federation federation.json`."
        )
    if not home.catalogue.is_file():
        return f"{send}import recordings with `ecgfl ingest PATH`."
    return (
        f"{send}check everything with `ecgfl doctor --server HOST:PORT`, "
        "then `ecgfl join --server HOST:PORT --once`."
    )
