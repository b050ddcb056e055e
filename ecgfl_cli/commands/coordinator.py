"""`ecgfl coordinator init|enrol|revoke|renew|rotate|withdraw|root|sites|serve|status|...`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.commands import (
    audit,
    coordinator_keys,
    coordinator_model,
    coordinator_status,
)
from ecgfl_cli.commands.lazy_group import CoordinatorGroup
from ecgfl_cli.commands.options import Encrypt
from ecgfl_cli.console import console_of
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.identity import certificates, enrolment
from ecgfl_cli.federation.coordinator.identity.audit_heads import AuditHeads
from ecgfl_cli.federation.coordinator.identity.enrolment import key_files
from ecgfl_cli.federation.coordinator.initialise import make_coordinator

app = typer.Typer(
    cls=CoordinatorGroup,
    help="Run the coordinator of a federation: keys, sites, rounds and models.",
    no_args_is_help=True,
)
app.add_typer(coordinator_model.app, name="model")
app.add_typer(
    audit.app,
    name="audit",
    help="Show and verify the log of enrolments, revocations, runs, rollbacks and renewals.",
)

Site = Annotated[str, typer.Option("--site", help="The site's name.")]


@app.command()
def init(
    context: typer.Context,
    name: Annotated[
        str, typer.Option("--name", help="Host name under which sites reach this machine.")
    ],
    encrypt: Encrypt = False,
) -> None:
    """Create a coordinator: CA, server certificate, model-signing key, and federation.json."""
    console = console_of(context, "coordinator-init")
    home = CoordinatorHome(console.home.coordinator)
    make_coordinator(home, name, encrypt)
    console.text(f"Coordinator {name}: {home.root}")
    console.text(f"Hand this file to every site: {home.federation}")
    console.text(f"The plan of its runs: {home.plan}")
    console.text(
        "Then enrol each site's key (`ecgfl coordinator enrol`) and start (`ecgfl coordinator "
        "serve`)."
    )
    console.result(home=home.root, name=name, federation=home.federation, plan=home.plan)


@app.command()
def enrol(
    context: typer.Context,
    public_key: Annotated[Path, typer.Argument(help="The site's keys/node.pub.", metavar="PUBKEY")],
    site: Site,
) -> None:
    """Enrol a site, so that it can take part."""
    console = console_of(context, "coordinator-enrol")
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    enrolled = enrolment.enrol(home, public_key, site)
    console.text(
        f"{site} is enrolled; compare its key's SHA-256 by telephone: {enrolled.fingerprint}"
    )
    console.result(site=site, sha256=enrolled.fingerprint)


@app.command()
def revoke(
    context: typer.Context, site: Annotated[str, typer.Argument(help="The site's name.")]
) -> None:
    """Revoke a site's key immediately. The site can be enrolled again."""
    console = console_of(context, "coordinator-revoke")
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    enrolment.revoke(home, site)
    console.text(f"{site}: key revoked")
    console.result(site=site)


@app.command()
def renew(
    context: typer.Context,
    new_key: Annotated[
        bool,
        typer.Option(
            "--new-key",
            help="Also make a new server key, if the old one is lost or compromised.",
        ),
    ] = False,
    new_ca: Annotated[
        bool,
        typer.Option(
            "--new-ca",
            help=(
                "Also make a new CA, if it expires or its key is lost. Each site then needs the "
                "new federation.json."
            ),
        ),
    ] = False,
) -> None:
    """Replace the server's certificate.

    Sites need no change. Restart a running `serve` afterwards.
    """
    console = console_of(context, "coordinator-renew")
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    done = certificates.renew(home, new_key, new_ca)
    made = " with a new key" if done.new_key else ""
    console.text(f"{home.server_certificate}: renewed{made}, valid until {done.until:%Y-%m-%d}.")
    if done.new_ca:
        console.text(f"The CA is new. Send {home.federation} to every site; each site runs:")
        console.text("  ecgfl init --site NAME --federation federation.json")
        console.text("Until then the site cannot connect.")
    else:
        console.text("The CA has not changed: the sites need no new file.")
    console.text("A running `serve` uses the old certificate until it is started again.")
    console.result(
        certificate=home.server_certificate,
        until=done.until.isoformat(timespec="seconds"),
        new_key=done.new_key,
        new_ca=done.new_ca,
    )


app.command()(coordinator_keys.rotate)
app.command()(coordinator_keys.withdraw)
app.command()(coordinator_keys.root)


@app.command()
def sites(context: typer.Context) -> None:
    """List the enrolled sites and the head of each site's audit log."""
    console = console_of(context, "coordinator-sites")
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    found = key_files(home)
    enrolled, problems = found.sites, found.problems
    for problem in problems:
        console.problem(problem)
    heads = AuditHeads(home.audit_heads).sites
    rows = [(site.name, site.fingerprint) for site in enrolled]
    console.table(
        "Sites",
        ("site ", "key SHA-256 "),
        rows,
        empty="No sites yet: `ecgfl coordinator enrol` adds them.",
    )
    known = [(site.name, heads[site.name]) for site in enrolled if site.name in heads]
    console.table(
        "Audit logs of the sites, by the last reply of each",
        ("site ", "lines", "head ", "received (UTC) "),
        [
            (name, head.newest.lines, head.newest.hash, head.newest.received[:19])
            for name, head in known
        ],
    )
    for name, head in known:
        if head.replaced is not None:
            console.problem(
                f"{name}: its audit log went backwards from {head.replaced.lines} lines (head "
                f"{head.replaced.hash},"
                f" {head.replaced.received})"
            )
    console.result(
        sites=[
            {
                "site": site.name,
                "sha256": site.fingerprint,
                "audit": heads[site.name].model_dump() if site.name in heads else None,
            }
            for site in enrolled
        ],
        problems=problems,
    )


app.command("status")(coordinator_status.status)
