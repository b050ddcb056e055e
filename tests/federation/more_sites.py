"""Sites beside the three that are prepared: they have Alice's recordings, all but one, and keys of their own."""

import shutil

from federation_homes import Homes, ecgfl

from ecgfl_cli.store.catalogue import open_catalogue


def with_more_sites(homes: Homes, *names: str) -> Homes:
    """Enrol sites of these names. One after the other they lack another recording: from the same beats they would train the same
    weights, of which Flower lets only the first site send the bytes.
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
