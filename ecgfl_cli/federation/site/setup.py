"""Make a site's home, and install the coordinator's federation.json."""

import re
from pathlib import Path

from ecgfl_adapters.file_names import is_device_name

from ecgfl_cli.errors import UsageError
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.federation_file import Federation, load_federation
from ecgfl_cli.models.repair import set_aside
from ecgfl_cli.models.site_models import CHANGE, ROOT_VERSION
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
    """Create the missing files of a site's home, and install a federation.json.

    A second call changes nothing.

    Parameters
    ----------
    home
        Home of the site.
    site
        Name of the site.
    federation
        The coordinator's federation.json; None to install none.
    encrypt
        Encrypt the node key with the passphrase of `--passphrase-fd` or the systemd credential.

    Returns
    -------
    list of str
        A line for each file that was created or changed.

    Raises
    ------
    UsageError
        The name is not valid, the home belongs to another site, or the file belongs to a
        coordinator with another signing key.
    """
    if not re.fullmatch(SITE_NAME, site) or is_device_name(site):
        raise UsageError(
            f"--site {site!r} is not a valid site name",
            "Use up to 63 letters, digits, dots, dashes and underscores, and not the name of a"
            " Windows device; e.g. --site st-mary",
        )
    new_federation = None if federation is None else load_federation(federation)
    home.root.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    with exclusive(home.lock):
        AuditLog(home.audit).require_whole()
        changed = _ensure_settings(home, site)
        changed += _ensure_keys(home, encrypt)
        if federation is not None and new_federation is not None:
            changed += _install_federation(home, federation, new_federation)
    return changed


def _ensure_settings(home: Home, site: str) -> list[str]:
    if not home.settings.is_file():
        write_settings(home.settings, site)
        return [f"{home.settings.name}: created"]
    known = load_settings(home.settings).site.name
    if known != site:
        raise UsageError(
            f"{home.root} is the home of site '{known}', not '{site}'",
            "Choose another --home DIR, or change site.name in site.toml",
        )
    return []


def _ensure_keys(home: Home, encrypt: bool) -> list[str]:
    lines = {
        home.secret: SECRET_MADE,
        home.node_key: NODE_KEY_MADE,
        home.node_public_key: PUBLIC_KEY_MADE,
    }
    missing = [path for path in lines if not path.is_file()]
    changed = [NODE_KEY_ENCRYPTED] if make_keys(home, encrypt) else []
    if home.node_key in missing and home.node_public_key in missing:
        missing.remove(home.node_public_key)  # the line of the node key names both
    return changed + [lines[path] for path in missing]


def _install_federation(home: Home, source: Path, federation: Federation) -> list[str]:
    before = load_federation(home.federation) if home.federation.is_file() else None
    if before is not None and before.signing_public_key != federation.signing_public_key:
        raise UsageError(
            f"{source}: signs models with another key than {home.federation}",
            "If the coordinator confirms its new key, remove the old file first; models signed with"
            " the old key are then void",
        )
    content = federation.to_bytes()
    if before is not None and home.federation.read_bytes() == content:
        return []
    details = {"signing_key": federation.signing_public_key}
    audit = AuditLog(home.audit)
    earlier = [entry for entry in audit.entries() if entry["event"] == "federation-set"]
    is_another = bool(earlier) and earlier[-1].get("signing_key") != details["signing_key"]
    with audit.change("federation-set", **details) as logged:
        if is_another:
            home.roots.unlink(missing_ok=True)
            logged[ROOT_VERSION] = 0
        atomic_write_bytes(home.federation, content)
        if number := set_aside(home):
            logged[CHANGE] = number
    return _federation_changes(before, federation)


def _federation_changes(before: Federation | None, now: Federation) -> list[str]:
    if before is None:
        return [f"federation.json: installed, coordinator {now.server_name}"]
    lines = []
    if before.server_name != now.server_name:
        lines.append(
            f"federation.json: the coordinator changed from {before.server_name} to"
            f" {now.server_name}"
        )
    if before.ca_certificate != now.ca_certificate:
        lines.append("federation.json: the coordinator has a new CA certificate")
    return lines or ["federation.json: replaced"]
