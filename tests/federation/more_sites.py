"""Sites beside the three that are prepared: they have Alice's recordings and keys of their own."""

import shutil

from conftest import Homes, ecgfl


def with_more_sites(homes: Homes, *names: str) -> Homes:
    """Enrol sites of these names."""
    for name in names:
        home = homes.site(name)
        shutil.copytree(homes.site("alice").root, home.root, ignore=shutil.ignore_patterns("node", "node.pub"))
        home.settings.write_text(home.settings.read_text().replace('name = "alice"', f'name = "{name}"'))
        ecgfl(home.root, "init", "--site", name)
        ecgfl(homes.coordinator, "coordinator", "enrol", str(home.node_public_key), "--site", name)
    return homes
