"""How a site's home comes to be, and how it comes to know its coordinator."""

import re
from pathlib import Path

from ecgfl_adapters.file_names import is_device_name

from ecgfl_cli.errors import UsageError
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.federation_file import Federation, load_federation
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import PRIVATE_FOLDER, make_keys
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.site.settings import SITE_NAME, load_settings, write_settings

SECRET_MADE = "keys/secret: created"
NODE_KEY_MADE = "keys/node and keys/node.pub: a new node key was created"
NODE_KEY_ENCRYPTED = "keys/node: encrypted with the passphrase"
PUBLIC_KEY_MADE = "keys/node.pub: created again from keys/node"


def make_site(home: Home, site: str, federation: Path | None, encrypt: bool = False) -> list[str]:
    """Create the missing files of a site's home, and install a federation.json. A second call changes nothing.

    encrypt : encrypt the node key with the passphrase of `--passphrase-fd` or the systemd credential.

    Returns a line for each file that was created or changed.

    Raises `UsageError` when the name is not valid or the home belongs to a site with another name.
    """
    if not re.fullmatch(SITE_NAME, site) or is_device_name(site):
        raise UsageError(
            f"--site {site!r} is no usable name",
            "Use up to 63 letters, digits, dots, dashes and underscores, and no name of a Windows device; e.g. --site st-mary",
        )
    particulars = None if federation is None else load_federation(federation)
    changed: list[str] = []
    home.root.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    with exclusive(home.lock):
        AuditLog(home.audit).require_whole()
        if home.settings.is_file():
            known = load_settings(home.settings).site.name
            if known != site:
                raise UsageError(
                    f"{home.root} is the home of site '{known}', not '{site}'",
                    "Choose another --home DIR, or change site.name in site.toml",
                )
        else:
            write_settings(home.settings, site)
            changed.append(f"{home.settings.name}: created")
        lines = {
            home.secret: SECRET_MADE,
            home.node_key: NODE_KEY_MADE,
            home.node_public_key: PUBLIC_KEY_MADE,
        }
        missing = [path for path in lines if not path.is_file()]
        if make_keys(home, encrypt):
            changed.append(NODE_KEY_ENCRYPTED)
        changed += [
            lines[path]
            for path in missing
            if path != home.node_public_key or home.node_key not in missing
        ]
        if particulars is not None:
            text = particulars.to_bytes()
            if (
                home.federation.is_file()
                and load_federation(home.federation).signing_public_key
                != particulars.signing_public_key
            ):
                raise UsageError(
                    f"{federation}: signs models with another key than {home.federation}",
                    "If the coordinator confirms its new key, remove the old file first; models signed with the old one are void",
                )
            if not home.federation.is_file() or home.federation.read_bytes() != text:
                before = load_federation(home.federation) if home.federation.is_file() else None
                changed += _federation_changes(before, particulars)
                with AuditLog(home.audit).change(
                    "federation-set", signing_key=particulars.signing_public_key
                ):
                    atomic_write_bytes(home.federation, text)
    return changed


def _federation_changes(before: Federation | None, now: Federation) -> list[str]:
    if before is None:
        return [f"federation.json: installed, coordinator {now.server_name}"]
    lines = []
    if before.server_name != now.server_name:
        lines.append(
            f"federation.json: the coordinator changed from {before.server_name} to {now.server_name}"
        )
    if before.ca_certificate != now.ca_certificate:
        lines.append("federation.json: the coordinator has a new CA certificate")
    return lines or ["federation.json: replaced"]
