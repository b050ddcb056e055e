"""Store the newest head of each site's audit log from its replies, so that a site cannot shorten or rewrite its log unnoticed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ecgfl_cli.federation.coordinator.json_file import load_json
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.schemas import StrictModel
from ecgfl_cli.site.audit import MOST_LINES, SHA256, Head
from ecgfl_cli.site.settings import SITE_NAME

SCHEMA: Literal["ecgfl.audit-heads/1"] = "ecgfl.audit-heads/1"


class ReceivedHead(StrictModel):
    """lines, hash : as in `Head`. received : ISO 8601, UTC."""

    lines: Annotated[int, Field(ge=0, le=MOST_LINES)]
    hash: Annotated[str, Field(pattern=SHA256)]
    received: Annotated[str, Field(max_length=40)]


class SiteHead(StrictModel):
    """newest : the head received last. replaced : the head before the log last went backwards; None if it never did."""

    newest: ReceivedHead
    replaced: ReceivedHead | None = None


class _File(StrictModel):
    schema_name: Annotated[Literal["ecgfl.audit-heads/1"], Field(alias="schema")] = SCHEMA
    sites: dict[Annotated[str, Field(pattern=SITE_NAME)], SiteHead] = Field(default_factory=dict)


class AuditHeads:
    """The heads in the file at `path`, which only `serve` writes. Raises `UnusableInput` if the file is broken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.sites = load_json(
                path,
                _File,
                "Restore it from your backup, or move it away to start with no known heads",
            ).sites
        except FileNotFoundError:
            self.sites = {}

    def receive(self, heads: Mapping[str, Head]) -> dict[str, str]:
        """Store the newest heads, by site. Returns a problem for each site whose log was shortened or replaced."""
        problems = {
            site: problem
            for site, head in heads.items()
            if (problem := self._add(site, head)) is not None
        }
        atomic_write_bytes(
            self._path,
            _File(sites=self.sites).model_dump_json(by_alias=True, indent=1).encode() + b"\n",
        )
        return problems

    def _add(self, site: str, head: Head) -> str | None:
        new = ReceivedHead(
            lines=head.lines,
            hash=head.hash,
            received=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        known = self.sites.get(site)
        problem, replaced = None, None if known is None else known.replaced
        if known is not None:
            before = known.newest
            if new.lines < before.lines or (new.lines == before.lines and new.hash != before.hash):
                replaced = before
                problem = (
                    f"its audit log went backwards: at {before.received} it had {before.lines} lines and the head {before.hash},"
                    f" now it has {new.lines} lines and another head; ask the site why (`ecgfl audit verify --head {before.hash}`"
                    " there)"
                )
        self.sites = {**self.sites, site: SiteHead(newest=new, replaced=replaced)}
        return problem
