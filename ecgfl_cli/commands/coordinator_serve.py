"""`ecgfl coordinator serve`."""

from dataclasses import replace
from typing import Annotated

import typer

from ecgfl_cli.commands.coordinator_tables import figures_table, rounds_table
from ecgfl_cli.commands.options import LearningRate, LocalEpochs, known_architecture, positive
from ecgfl_cli.console import console_of
from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.coordinator import serve as serving
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.runs.plan_file import resolve, values_in_words
from ecgfl_cli.logs import log_fields
from ecgfl_cli.site.lock import exclusive


def command(
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
    local_epochs: LocalEpochs = None,
    learning_rate: LearningRate = None,
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
    secagg: Annotated[
        bool,
        typer.Option(
            "--secagg",
            help="Secure aggregation: this coordinator learns only the sum of the updates.",
        ),
    ] = False,
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
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    plan = resolve(
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
            "secagg": secagg or None,
        },
    )
    plan = replace(plan, init_from=init_from, from_scratch=from_scratch)
    with exclusive(home.lock), log_fields(source="coordinator"):
        console.say(values_in_words(plan, home.plan))
        served = serving.serve(home, plan, host, port)
    rounds_table(console, f"Run {served.final.run}", served.rounds)
    figures_table(console, served.rounds)
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
        rounds=[result.as_dict() for result in served.rounds],
    )
