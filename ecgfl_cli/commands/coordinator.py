"""`ecgfl coordinator init|enrol|revoke|sites|serve`."""

from pathlib import Path
from typing import Annotated

import typer

from ecgfl_cli.commands.options import ArchitectureName, duration, positive
from ecgfl_cli.console import console_of, percent
from ecgfl_cli.models.architecture import DEFAULT

app = typer.Typer(help="The federation's other side: keys, sites, rounds.", no_args_is_help=True)

Site = Annotated[str, typer.Option("--site", help="The site's name.")]


@app.command()
def init(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", help="The host name under which sites reach this machine.")],
) -> None:
    """Make a CA, a server certificate, the model-signing key, and federation.json for the sites."""
    from ecgfl_cli.federation.coordinator_home import CoordinatorHome, make_coordinator

    console = console_of(context, "coordinator-init")
    home = CoordinatorHome(console.home.coordinator)
    make_coordinator(home, name)
    console.text(f"Coordinator {name}: {home.root}")
    console.text(f"Hand this file to every site: {home.federation}")
    console.text("Then enrol each site's key (`ecgfl coordinator enrol`) and start (`ecgfl coordinator serve`).")
    console.result(home=home.root, name=name, federation=home.federation)


@app.command()
def enrol(
    context: typer.Context,
    public_key: Annotated[Path, typer.Argument(help="The site's keys/node.pub.", metavar="PUBKEY")],
    site: Site,
) -> None:
    """Let a site take part."""
    from ecgfl_cli.federation.coordinator_home import CoordinatorHome
    from ecgfl_cli.federation.enrolment import enrol as enrol_site

    console = console_of(context, "coordinator-enrol")
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    enrolled = enrol_site(home, public_key, site)
    console.text(f"{site} is enrolled; compare its key's SHA-256 by telephone: {enrolled.fingerprint}")
    console.result(site=site, sha256=enrolled.fingerprint)


@app.command()
def revoke(context: typer.Context, site: Annotated[str, typer.Argument(help="The site's name.")]) -> None:
    """Shut a site's key out at once; it can be enrolled again."""
    from ecgfl_cli.federation.coordinator_home import CoordinatorHome
    from ecgfl_cli.federation.enrolment import revoke as revoke_site

    console = console_of(context, "coordinator-revoke")
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    revoke_site(home, site)
    console.text(f"{site} is shut out")
    console.result(site=site)


@app.command()
def sites(context: typer.Context) -> None:
    """List the enrolled sites."""
    from ecgfl_cli.federation.coordinator_home import CoordinatorHome
    from ecgfl_cli.federation.enrolment import enrolled_sites

    console = console_of(context, "coordinator-sites")
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    enrolled = enrolled_sites(home)
    rows = [(site.name, site.fingerprint) for site in enrolled]
    console.table("Sites", ("site ", "key SHA-256 "), rows, empty="No sites yet: `ecgfl coordinator enrol` adds them.")
    console.result(sites=[{"site": site.name, "sha256": site.fingerprint} for site in enrolled])


@app.command()
def serve(
    context: typer.Context,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8443,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "0.0.0.0",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds of training.")] = 5,
    min_sites: Annotated[int, typer.Option("--min-sites", min=2, help="Sites that must take part in every round.")] = 2,
    strategy: Annotated[
        str, typer.Option("--strategy", help="How the sites' weights become one model: fedavg, fedprox, fedadam or fedyogi.")
    ] = "fedavg",
    proximal_mu: Annotated[
        float | None,
        typer.Option("--proximal-mu", help="fedprox: weight of the term that keeps a site near the global weights."),
    ] = None,
    server_learning_rate: Annotated[
        float | None,
        typer.Option("--server-learning-rate", help="fedadam and fedyogi: the server optimiser's step.", callback=positive),
    ] = None,
    arch: ArchitectureName = DEFAULT,
    local_epochs: Annotated[int | None, typer.Option("--local-epochs", min=1, help="Without it the architecture's own.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="In the first round; without it the network's own.", callback=positive)
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=1_000_000_000, help="Of the first weights and of the order of the beats.")
    ] = 0,
    phase_timeout: Annotated[
        str, typer.Option("--phase-timeout", help="For each training or evaluation.", metavar="DURATION")
    ] = "1h",
) -> None:
    """Serve one run: wait for the sites, train the rounds, sign every model. Started again after a kill it goes on."""
    from ecgfl_cli.federation.coordinator import serve as serve_run
    from ecgfl_cli.federation.coordinator_home import CoordinatorHome
    from ecgfl_cli.federation.run_plan import RunPlan
    from ecgfl_cli.models.architecture import architecture
    from ecgfl_cli.site.lock import exclusive

    console = console_of(context, "coordinator-serve")
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    wanted = architecture(arch)
    rate = wanted.learning_rate if learning_rate is None else learning_rate
    plan = RunPlan(
        architecture=arch,
        strategy=strategy,
        rounds=rounds,
        min_sites=min_sites,
        local_epochs=local_epochs or wanted.local_epochs,
        learning_rate=rate,
        last_learning_rate=rate * wanted.last_learning_rate / wanted.learning_rate,
        batch_size=wanted.batch_size,
        seed=seed,
        phase_timeout=duration(phase_timeout),
        proximal_mu=proximal_mu,
        server_learning_rate=server_learning_rate,
    )
    with exclusive(home.lock):
        served = serve_run(home, plan, host, port, lambda line: console.say(f"coordinator: {line}"))
    console.table(
        f"Run {served.final.run}",
        ("round", "model ", "sites", "beats", "loss", "held-out beats", "sensitivity %", "precision %"),
        [
            (each.round, each.version, len(each.sites), each.examples, each.loss)
            + (
                (None, None, None)
                if each.metrics is None
                else (each.metrics.beats, percent(each.metrics.sensitivity), percent(each.metrics.precision))
            )
            for each in served.rounds
        ],
    )
    console.text(f"Final model: {served.final.version}")
    console.result(
        run=served.final.run,
        model=served.final.version,
        sha256=served.final.weights_sha256,
        rounds=[each.as_dict() for each in served.rounds],
    )
