"""`ecgfl coordinator status`."""

import typer

from ecgfl_cli.commands.coordinator_tables import figures_table, rounds_table
from ecgfl_cli.console import console_of
from ecgfl_cli.errors import ModelRejected, UnusableInput
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.identity.certificates import load_certificates
from ecgfl_cli.federation.coordinator.identity.enrolment import enrolled_sites
from ecgfl_cli.federation.coordinator.identity.signing_keys import coordinator_registry
from ecgfl_cli.federation.coordinator.runs.global_models import VERDICT_IN_WORDS, GlobalModels
from ecgfl_cli.federation.coordinator.runs.live_state import load_state
from ecgfl_cli.federation.coordinator.runs.run_record import load_report


def status(context: typer.Context) -> None:
    """Show the current or last run: its rounds, and the last contact of each site."""
    console = console_of(context, "coordinator-status")
    home = CoordinatorHome(console.home.coordinator)
    home.require()
    try:
        warnings = load_certificates(home).warnings()
    except UnusableInput as error:
        warnings = [str(error)]
    for line in warnings:
        console.problem(line)
    state = load_state(home.state)
    known = {} if state is None else {site.site: site for site in state.sites}
    live = state is not None and state.is_live
    path = None if state is None else home.reports / f"{state.run}.json"
    report = load_report(path) if path is not None and path.is_file() else None
    rounds = [] if report is None else [result for result in report.rounds if result.version]
    models = GlobalModels(home, coordinator_registry(home))
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
            sum(name in result.sites for result in rounds),
            None if standing is None else standing.verdicts.get(name),
        )
        for name in (site.name for site in enrolled_sites(home))
    ]
    if state is None:
        console.text("Nothing has been served yet: `ecgfl coordinator serve` starts a run.")
    else:
        console.text(f"Run {state.run}: {state.in_words()}")
        if report is not None and report.start is not None:
            console.text(f"Started from: {report.start}")
        rounds_table(console, "Rounds", rounds)
        figures_table(console, rounds)
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
                None if verdict is None else VERDICT_IN_WORDS[verdict],
            )
            for name, connected, heard, took_part, verdict in rows
        ],
        empty="No sites yet: `ecgfl coordinator enrol` adds them.",
    )
    console.result(
        serving=live,
        run=None if state is None else state.model_dump(exclude={"schema_name", "sites"}),
        rounds=[result.as_dict() for result in rounds],
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
