"""More sites than the three that are prepared. They have Alice's recordings but one."""

import shutil

from federation_homes import Homes, ecgfl

from ecgfl_cli.store.catalogue import open_catalogue


def with_more_sites(homes: Homes, *names: str) -> Homes:
    """Enrol sites of these names.

    Each lacks another recording. With the same beats they would train the same weights, and Flower
    lets only the first site send the same bytes.
    """
    for place, name in enumerate(names):
        home = homes.site(name)
        shutil.copytree(
            homes.site("alice").root, home.root, ignore=shutil.ignore_patterns("node", "node.pub")
        )
        home.settings.write_text(
            home.settings.read_text().replace('name = "alice"', f'name = "{name}"')
        )
        ecgfl(home.root, "init", "--site", name)
        with open_catalogue(home.catalogue) as catalogue:
            splits = catalogue.splits()
            trained = sorted(
                row.record for row in catalogue.rows() if splits[row.patient] == "train"
            )
        ecgfl(home.root, "dataset", "remove", trained[place % len(trained)])
        ecgfl(homes.coordinator, "coordinator", "enrol", str(home.node_public_key), "--site", name)
    return homes
