"""Tables of rounds and of the sites' figures, for `coordinator serve` and `coordinator status`."""

from ecgfl_cli.console import Console, percent
from ecgfl_cli.federation.coordinator.rounds.outliers import deviation_in_words
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult


def rounds_table(console: Console, title: str, rounds: list[RoundResult]) -> None:
    """Print a table of rounds."""
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
            (result.round, result.version, len(result.sites), result.examples, result.loss)
            + (
                (None, None, None)
                if result.metrics is None
                else (
                    result.metrics.beats,
                    percent(result.metrics.sensitivity),
                    percent(result.metrics.precision),
                )
            )
            for result in rounds
        ],
    )


def figures_table(console: Console, rounds: list[RoundResult]) -> None:
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
    for result in rounds:
        for name, site in sorted(result.by_site.items()):
            if site.deviates:
                console.text(
                    f"{name} deviates from the other sites in round {result.round}: "
                    f"{deviation_in_words(result, name)}"
                )
