"""`ecgfl coordinator init|enrol|revoke|renew|sites|serve|status|model|audit`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfl_cli.commands import audit, coordinator_model, library
from ecgfl_cli.commands.options import Encrypt, known_architecture, positive
from ecgfl_cli.console import Console, console_of, percent
from ecgfl_cli.errors import ModelRejected, UnusableInput, UsageError
from ecgfl_cli.site.lock import exclusive

if TYPE_CHECKING:
    from ecgfl_cli.federation.coordinator.run_plan import RoundResult

app = typer.Typer(
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
    home = library.CoordinatorHome(console.home.coordinator)
    library.make_coordinator(home, name, encrypt)
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
    home = library.CoordinatorHome(console.home.coordinator)
    home.require()
    enrolled = library.enrol(home, public_key, site)
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
    home = library.CoordinatorHome(console.home.coordinator)
    home.require()
    library.revoke(home, site)
    console.text(f"{site}: key revoked")
    console.result(site=site)


@app.command()
def renew(
    context: typer.Context,
    new_key: Annotated[
        bool,
        typer.Option(
            "--new-key",
            help="Also make a new server key, because the old one is lost or no longer secret.",
        ),
    ] = False,
    new_ca: Annotated[
        bool,
        typer.Option(
            "--new-ca",
            help=(
                "Also make a new CA, because it expires or its key is lost. Each site then needs "
                "federation.json."
            ),
        ),
    ] = False,
) -> None:
    """Replace the server's certificate.

    Sites need no change. Restart a running `serve` afterwards.
    """

    console = console_of(context, "coordinator-renew")
    home = library.CoordinatorHome(console.home.coordinator)
    home.require()
    done = library.renew(home, new_key, new_ca)
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


@app.command()
def sites(context: typer.Context) -> None:
    """List the enrolled sites and the head of each site's audit log."""

    console = console_of(context, "coordinator-sites")
    home = library.CoordinatorHome(console.home.coordinator)
    home.require()
    found = library.key_files(home)
    enrolled, problems = found.sites, found.problems
    for problem in problems:
        console.problem(problem)
    heads = library.AuditHeads(home.audit_heads).sites
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


@app.command()
def serve(
    context: typer.Context,
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 selects a free one."),
    ] = 8443,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "0.0.0.0",
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="Rounds of training.")
    ] = None,
    min_sites: Annotated[
        int | None,
        typer.Option("--min-sites", min=2, help="Sites that must take part in every round."),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            help=(
                "How the sites' weights become one model: fedavg, fedprox, fedadam, fedyogi, "
                "median, trimmed-mean or krum."
            ),
        ),
    ] = None,
    proximal_mu: Annotated[
        float | None,
        typer.Option(
            "--proximal-mu",
            help="fedprox: weight of the term that keeps a site's weights near the global ones.",
        ),
    ] = None,
    server_learning_rate: Annotated[
        float | None,
        typer.Option(
            "--server-learning-rate",
            help="fedadam and fedyogi: learning rate of the server optimiser.",
            callback=positive,
        ),
    ] = None,
    trimmed_share: Annotated[
        float | None,
        typer.Option(
            "--trimmed-share",
            help="trimmed-mean: share of the sites to leave out at each end, below 0.5.",
        ),
    ] = None,
    malicious_sites: Annotated[
        int | None,
        typer.Option(
            "--malicious-sites",
            min=0,
            help="krum: number of malicious sites to tolerate, n; it needs 2n + 3 sites.",
        ),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option("--arch", help="Network architecture.", callback=known_architecture),
    ] = None,
    local_epochs: Annotated[
        int | None,
        typer.Option(
            "--local-epochs",
            min=1,
            help="Epochs of each local round. Default: that of the architecture.",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate",
            help="Learning rate of the first round. Default: that of the architecture.",
            callback=positive,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            max=1_000_000_000,
            help="Seed for the initial weights and for shuffling.",
        ),
    ] = None,
    quorum_timeout: Annotated[
        str | None,
        typer.Option(
            "--quorum-timeout",
            help="How long to wait for enough sites. Default: no limit.",
            metavar="DURATION",
        ),
    ] = None,
    phase_timeout: Annotated[
        str | None,
        typer.Option(
            "--phase-timeout",
            help="Time limit for each training or evaluation phase.",
            metavar="DURATION",
        ),
    ] = None,
    hours: Annotated[
        str | None,
        typer.Option(
            "--hours",
            help="When a round may begin, e.g. 22:00-06:00. Default: at any time.",
            metavar="FROM-TO",
        ),
    ] = None,
    max_update_ratio: Annotated[
        float | None,
        typer.Option(
            "--max-update-ratio",
            min=1,
            help="Leave out an update larger than this multiple of the round's median.",
            callback=positive,
        ),
    ] = None,
    max_weight_ratio: Annotated[
        float | None,
        typer.Option(
            "--max-weight-ratio",
            min=1,
            help=(
                "fedavg, fedprox, fedadam, fedyogi: largest weight of a site, as a multiple of "
                "the median of the sites' beats."
            ),
            callback=positive,
        ),
    ] = None,
    max_examples: Annotated[
        int | None,
        typer.Option(
            "--max-examples",
            min=1,
            help="Leave out a site's reply that reports more beats than this.",
        ),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            "--init-from",
            help=(
                "Start a new run from this model instead of the newest model or the starter model."
            ),
            metavar="VERSION",
        ),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start a new run from random weights.")
    ] = False,
) -> None:
    """Serve one run of the federation, sign every model and write the run's report.

    The plan is federation.toml; these options override it. A run that was killed is resumed.
    """

    if init_from is not None and from_scratch:
        raise UsageError(
            "--init-from and --from-scratch cannot be used together", "Give only one of them"
        )
    console = console_of(context, "coordinator-serve")
    home = library.CoordinatorHome(console.home.coordinator)
    home.require()
    plan = library.resolve(
        home.plan,
        {
            "rounds": rounds,
            "min_sites": min_sites,
            "strategy": strategy,
            "architecture": arch,
            "local_epochs": local_epochs,
            "learning_rate": learning_rate,
            "seed": seed,
            "quorum_timeout": quorum_timeout,
            "phase_timeout": phase_timeout,
            "hours": hours,
            "proximal_mu": proximal_mu,
            "server_learning_rate": server_learning_rate,
            "trimmed_share": trimmed_share,
            "malicious_sites": malicious_sites,
            "max_update_ratio": max_update_ratio,
            "max_weight_ratio": max_weight_ratio,
            "max_examples": max_examples,
        },
    )
    plan = replace(plan, init_from=init_from, from_scratch=from_scratch)
    with exclusive(home.lock):
        console.say(f"coordinator: {library.values_in_words(plan, home.plan)}")
        served = library.serve(
            home, plan, host, port, lambda line: console.say(f"coordinator: {line}")
        )
    _rounds_table(console, f"Run {served.final.run}", served.rounds)
    _figures_table(console, served.rounds)
    standing = served.standing
    if served.start is not None:
        console.text(f"Started from: {served.start}")
    console.text(f"Final model: {served.final.version}, {standing.in_words()}")
    if served.absent:
        console.text(f"Absent (enrolled, took no part): {', '.join(served.absent)}")
    console.text(f"Report: {served.report.with_suffix('.html')}")
    if standing.is_rejected:
        console.problem(
            f"most sites rejected model {served.final.version}: no run starts from it; the next "
            "one starts from"
            f" {served.next_start or 'random weights'}"
        )
    console.result(
        run=served.final.run,
        model=served.final.version,
        sha256=served.final.weights_sha256,
        start=served.start,
        absent=served.absent,
        verdicts=dict(standing.verdicts),
        rejected_by_most=standing.is_rejected,
        next_start=served.next_start,
        report=served.report,
        rounds=[each.as_dict() for each in served.rounds],
    )


@app.command()
def status(context: typer.Context) -> None:
    """Show the current or last run: its rounds, and the last contact of each site."""

    console = console_of(context, "coordinator-status")
    home = library.CoordinatorHome(console.home.coordinator)
    home.require()
    try:
        warnings = library.load_certificates(home).warnings()
    except UnusableInput as error:
        warnings = [str(error)]
    for line in warnings:
        console.problem(line)
    state = library.load_state(home.state)
    known = {} if state is None else {each.site: each for each in state.sites}
    live = state is not None and state.is_live
    path = None if state is None else home.reports / f"{state.run}.json"
    report = library.load_report(path) if path is not None and path.is_file() else None
    rounds = [] if report is None else [each for each in report.rounds if each.version]
    models = library.GlobalModels(
        home, library.Registry(home.models, library.load_federation(home.federation).signing_key)
    )
    try:
        models.require_whole()
    except ModelRejected as error:
        warnings.append(str(error))
        console.problem(str(error))
    final = next(
        (entry for entry in reversed(models.registry.entries()) if entry.manifest.is_final), None
    )
    standing = None if final is None else models.standing(final)
    absent = [] if state is None else state.absent
    rows = [
        (
            name,
            live and name in known and known[name].connected,
            known[name].last_contact if name in known else None,
            sum(name in each.sites for each in rounds),
            None if standing is None else standing.verdicts.get(name),
        )
        for name in (site.name for site in library.enrolled_sites(home))
    ]
    if state is None:
        console.text("Nothing has been served yet: `ecgfl coordinator serve` starts a run.")
    else:
        console.text(f"Run {state.run}: {state.in_words()}")
        if report is not None and report.start is not None:
            console.text(f"Started from: {report.start}")
        _rounds_table(console, "Rounds", rounds)
        _figures_table(console, rounds)
    if absent:
        console.text(f"Absent (enrolled, took no part): {', '.join(absent)}")
    if final is not None and standing is not None:
        console.text(
            f"Newest final model: {final.manifest.version}, "
            f"{standing.problem or standing.in_words()}"
        )
    console.table(
        "Sites",
        ("site ", "connected ", "last contact (UTC) ", "rounds", "newest final model "),
        [
            (
                name,
                "yes" if connected else "no",
                heard,
                took_part,
                None if verdict is None else library.VERDICT_IN_WORDS[verdict],
            )
            for name, connected, heard, took_part, verdict in rows
        ],
        empty="No sites yet: `ecgfl coordinator enrol` adds them.",
    )
    console.result(
        serving=live,
        run=None if state is None else state.model_dump(exclude={"schema_name", "sites"}),
        rounds=[each.as_dict() for each in rounds],
        absent=absent,
        model=None
        if final is None or standing is None
        else {
            "version": final.manifest.version,
            "verdicts": dict(standing.verdicts),
            "rejected_by_most": standing.is_rejected,
            "rolled_back": standing.rolled_back,
        },
        warnings=warnings,
        sites=[
            {"site": name, "connected": connected, "last_contact": heard}
            for name, connected, heard, *_ in rows
        ],
    )


def _rounds_table(console: Console, title: str, rounds: "list[RoundResult]") -> None:
    console.table(
        title,
        (
            "round",
            "model ",
            "sites",
            "beats",
            "loss",
            "held-out beats",
            "sensitivity %",
            "precision %",
        ),
        [
            (each.round, each.version, len(each.sites), each.examples, each.loss)
            + (
                (None, None, None)
                if each.metrics is None
                else (
                    each.metrics.beats,
                    percent(each.metrics.sensitivity),
                    percent(each.metrics.precision),
                )
            )
            for each in rounds
        ],
    )


def _figures_table(console: Console, rounds: "list[RoundResult]") -> None:
    """Print each site's figures in the last round, and the deviations of all rounds."""

    if not rounds or not rounds[-1].by_site:
        return
    last = rounds[-1]
    console.table(
        f"Sites in round {last.round}",
        (
            *(
                "site ",
                "training beats",
                "weight %",
                "update norm",
                "held-out beats",
                "PVCs",
                "sensitivity %",
                "precision %",
            ),
            *("loss", "deviates "),
        ),
        [
            (
                *(
                    name,
                    site.train_beats,
                    percent(site.weight),
                    site.update_norm,
                    site.beats,
                    site.pvcs,
                ),
                *(
                    percent(site.sensitivity),
                    percent(site.precision),
                    site.loss,
                    "yes" if site.deviates else "no",
                ),
            )
            for name, site in sorted(last.by_site.items())
        ],
    )
    for each in rounds:
        for name, site in sorted(each.by_site.items()):
            if site.deviates:
                console.text(
                    f"{name} deviates from the other sites in round {each.round}: "
                    f"{library.deviation_in_words(each, name)}"
                )
