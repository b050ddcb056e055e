"""`ecgfl dataset list|show|remove`."""

from typing import Annotated

import typer

from ecgfl_cli.commands.lazy_group import HelpGroup
from ecgfl_cli.console import Console, console_of, fields_of
from ecgfl_cli.errors import UsageError
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.store.catalogue import Catalogue, RecordRow, open_catalogue
from ecgfl_cli.store.ingest import remove_record

app = typer.Typer(
    cls=HelpGroup, help="Show or remove the recordings in this site's store.", no_args_is_help=True
)

NAMES = "Names of records or patients, as `dataset list` and `dataset show` print them."

Record = Annotated[
    str, typer.Argument(help="Name of a record, as `dataset list` prints it.", metavar="RECORD")
]


@app.command("list")
def list_records(context: typer.Context) -> None:
    """List the recordings: usable, unlabelled, or rejected with the reason."""
    console = console_of(context, "dataset-list")
    console.home.require_site()
    with open_catalogue(console.home.catalogue) as catalogue:
        rows, splits = catalogue.rows(), catalogue.splits()
        reasons = {row.record: _reasons(catalogue, row) for row in rows}
    console.table(
        "Recordings",
        ("record ", "status ", "split ", "hours", "Hz", "lead ", "N", "S", "V", "F", "Q"),
        [
            (
                *(
                    row.record,
                    row.status,
                    splits.get(row.patient),
                    row.seconds / 3600,
                    f"{row.fs:g}",
                    row.lead,
                ),
                *(row.counts.get(name, 0) for name in "NSVFQ"),
            )
            for row in rows
        ],
        empty="No recordings yet: `ecgfl ingest PATH` brings them in.",
    )
    for record, reason in reasons.items():
        if reason:
            console.text(f"{record}: {reason}")
    console.result(
        recordings=[
            {**vars(row), "split": splits.get(row.patient), "reason": reasons[row.record]}
            for row in rows
        ]
    )


@app.command()
def show(context: typer.Context, record: Record) -> None:
    """Show one recording with all its findings."""
    console = console_of(context, "dataset-show")
    console.home.require_site()
    with open_catalogue(console.home.catalogue) as catalogue:
        row = _existing(console, catalogue, record)
        findings = catalogue.findings(record)
    console.table(f"Record {record}", ("field ", "value "), fields_of(vars(row)))
    for each in findings:
        console.text(f"{each['severity']} {each['code']}: {each['message']} {each['fix']}")
    console.result(record=vars(row), findings=findings)


@app.command()
def remove(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help=NAMES, metavar="NAME...")],
) -> None:
    """Remove recordings, or all recordings of a patient, and all data derived from them."""
    console = console_of(context, "dataset-remove")
    home = console.home
    home.require_site()
    with exclusive(home.lock), open_catalogue(home.catalogue) as catalogue:
        records = dict.fromkeys(
            row.record for name in names for row in _named(console, catalogue, name)
        )
        for record in records:
            with AuditLog(home.audit).change("record-removed", record=record):
                remove_record(home, catalogue, record)
            console.text(f"{record} removed")
    console.result(records=list(records))


def _named(console: Console, catalogue: Catalogue, name: str) -> list[RecordRow]:
    """Return the record of that name, or the records of the patient of that name."""
    row = catalogue.row(name)
    return (
        [row]
        if row is not None
        else catalogue.rows_of(name) or [_existing(console, catalogue, name)]
    )


def _existing(console: Console, catalogue: Catalogue, record: str) -> RecordRow:

    row = catalogue.row(record)
    if row is None:
        raise UsageError(
            f"no record or patient '{record}' in {console.home.catalogue}",
            "`ecgfl dataset list` shows those that are there",
        )
    return row


def _reasons(catalogue: Catalogue, row: RecordRow) -> str:
    if row.status == "unlabelled":
        return "no beat labels: ingest it again with --labels FILE to train on it"
    found = catalogue.findings(row.record) if row.status == "rejected" else []
    return "; ".join(
        f"{each['message']} {each['fix']}" for each in found if each["severity"] == "error"
    )
