"""`ecgfl join --dry-run`."""

from dataclasses import asdict

from ecgfl_cli.console import Console
from ecgfl_cli.federation.site.dry_run import dry_run
from ecgfl_cli.logs import log_fields
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.site.settings import load_settings

TITLES = {"train": "After training", "evaluate": "After measuring"}
LONGEST_VALUE = 40


def show_dry_run(console: Console) -> None:
    """Show each field of each reply that this site would send."""
    home = console.home
    home.require_site()
    settings = load_settings(home.settings)
    with exclusive(home.lock), log_fields(source=settings.site.name):
        rehearsal = dry_run(home, settings)
    for draft in rehearsal.drafts:
        console.table(
            f"{TITLES[draft.kind]} this site would send",
            ("field ", "type ", "bytes", "value ", "SHA-256 "),
            [
                (field.name, field.kind, field.bytes, _short(field.value), field.sha256)
                for field in draft.fields
            ],
            footer=("whole message", "", draft.bytes, "", draft.sha256),
        )
    console.text("Nothing was sent. On a refusal only a code would be.")
    console.result(
        version=rehearsal.version,
        architecture=rehearsal.architecture,
        messages=[asdict(draft) for draft in rehearsal.drafts],
    )


def _short(value: object) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
