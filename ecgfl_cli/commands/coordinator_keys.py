"""`ecgfl coordinator rotate|withdraw|root`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.console import Console, console_of
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.identity import signing_keys
from ecgfl_cli.federation.coordinator.identity.signing_keys import NewRoot
from ecgfl_cli.site.lock import exclusive

RootKey = Annotated[
    list[Path] | None,
    typer.Option(
        "--root-key",
        help="File of a root key that signs. Default: root.key in the home. Can be repeated.",
        metavar="FILE",
    ),
]


def rotate(context: typer.Context, root_key: RootKey = None) -> None:
    """Make a new signing key and retire the old one. The sites need no new file.

    Models that the sites have stay valid. Every model of this coordinator is signed again.
    """
    console, home = _opened(context, "coordinator-rotate")
    with exclusive(home.lock):
        done = signing_keys.rotate(home, root_key or [])
    console.text(f"The signing key is now {done.signing_key}.")
    _show(console, done)


def withdraw(
    context: typer.Context,
    key: Annotated[
        str,
        typer.Argument(
            help="The key in base64, as `audit show` and federation.json name it.", metavar="KEY"
        ),
    ],
    root_key: RootKey = None,
) -> None:
    """Withdraw a signing key that somebody else may have. Sites refuse what it signed.

    If it is the present one, a new one is made, and every model of this coordinator is signed
    again.
    """
    console, home = _opened(context, "coordinator-withdraw")
    with exclusive(home.lock):
        done = signing_keys.withdraw(home, root_key or [], key)
    console.text(f"{key} is withdrawn. The signing key is {done.signing_key}.")
    console.text("Sites learn this from the next run, or from the next model file.")
    _show(console, done)


def root(
    context: typer.Context,
    root_key: RootKey = None,
    new_root_key: Annotated[
        list[Path] | None,
        typer.Option(
            "--new-root-key",
            help="Make a further root key in this file. The option can be repeated.",
            metavar="FILE",
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            "--drop-root-key",
            help="Drop the root key with this id. The option can be repeated.",
            metavar="ID",
        ),
    ] = None,
    threshold: Annotated[
        int | None,
        typer.Option("--threshold", help="How many root keys must sign. Default: as many as now."),
    ] = None,
) -> None:
    """Renew the root metadata, which names the signing keys, for a year; or change the root keys.

    Makes root.key and the first root metadata for a coordinator of an earlier version.
    """
    console, home = _opened(context, "coordinator-root")
    with exclusive(home.lock):
        done = signing_keys.renew_root(
            home, root_key or [], new_root_key or [], drop or [], threshold
        )
    _show(console, done)


def _opened(context: typer.Context, verb: str) -> tuple[Console, CoordinatorHome]:
    console = console_of(context, verb)
    home = CoordinatorHome(console.home.coordinator)
    home.require(needs_signing_key=not home.roots.is_file())
    return console, home


def _show(console: Console, done: NewRoot) -> None:
    console.text(
        f"Root metadata version {done.version}, valid until {done.until:%Y-%m-%d}; "
        f"{done.threshold} of the root keys {', '.join(done.root_keys)} must sign the next one."
    )
    console.result(
        version=done.version,
        until=done.until.isoformat(timespec="seconds"),
        signing_key=done.signing_key,
        root_keys=done.root_keys,
        threshold=done.threshold,
    )
