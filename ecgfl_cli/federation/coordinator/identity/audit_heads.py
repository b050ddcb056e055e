"""Store the newest head of each site's audit log, which comes with its replies.

A site then cannot shorten or rewrite its log without being noticed.
"""

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
    """A head of an audit log, as received.

    Attributes
    ----------
    lines
        Number of lines of the log.
    hash
        SHA-256 of its last line, in hexadecimal.
    received
        When it was received, in ISO 8601, UTC.
    """

    lines: Annotated[int, Field(ge=0, le=MOST_LINES)]
    hash: Annotated[str, Field(pattern=SHA256)]
    received: Annotated[str, Field(max_length=40)]


class SiteHead(StrictModel):
    """The stored heads of one site.

    Attributes
    ----------
    newest
        The last head received.
    replaced
        The head before the log was last shortened or rewritten; None if it never was.
    """

    newest: ReceivedHead
    replaced: ReceivedHead | None = None


class _File(StrictModel):
    schema_name: Annotated[Literal["ecgfl.audit-heads/1"], Field(alias="schema")] = SCHEMA
    sites: dict[Annotated[str, Field(pattern=SITE_NAME)], SiteHead] = Field(default_factory=dict)


class AuditHeads:
    """The file with the heads of all sites. Only `serve` writes it.

    Parameters
    ----------
    path
        The file. It may be missing.

    Attributes
    ----------
    sites
        Heads by the name of the site.

    Raises
    ------
    UnusableInput
        The file is broken.
    """

    sites: dict[str, SiteHead]

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
        """Store new heads.

        Parameters
        ----------
        heads
            Head of the audit log by site.

        Returns
        -------
        dict
            A message by site, for each site whose log was shortened or rewritten.
        """
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
        if known is None:
            self.sites[site] = SiteHead(newest=new)
            return None
        before = known.newest
        is_longer = new.lines > before.lines
        if is_longer or (new.lines == before.lines and new.hash == before.hash):
            self.sites[site] = SiteHead(newest=new, replaced=known.replaced)
            return None
        self.sites[site] = SiteHead(newest=new, replaced=before)
        return (
            f"its audit log went backwards: at {before.received} it had {before.lines} lines and"
            f" the head {before.hash}, now it has {new.lines} lines and another head; ask the site"
            f" why (`ecgfl audit verify --head {before.hash}` there)"
        )
