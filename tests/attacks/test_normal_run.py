"""An ordinary run of ordinary sites succeeds with the default policy that `init` writes."""

import shutil
from pathlib import Path

import pytest
from ecgfl_adapters.registry import adapters
from federation_homes import Homes, ecgfl
from hostile_coordinator import logged
from node_processes import Processes, told

from ecgfl_cli.demo.synthesiser import synthesise

pytestmark = pytest.mark.slow

PATIENTS = 13
"""Patients of a site: three are held out, and ten are for training, the fewest by default."""

SECONDS = 90
"""Length of a recording."""

ROUNDS = 5


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """Return a coordinator and two sites with default settings."""
    homes = Homes(tmp_path_factory.mktemp("ordinary"))
    ecgfl(homes.coordinator, "coordinator", "init", "--name", "localhost")
    for number, name in enumerate(("alice", "bob")):
        home, exports = homes.site(name), homes.folder / "exports" / name
        exports.mkdir(parents=True)
        for patient in range(PATIENTS):
            adapters()["wfdb"].write(
                synthesise(100 * number + patient, SECONDS, 250, pvc_share=0.15), exports
            )
        ecgfl(
            home.root,
            "init",
            "--site",
            name,
            "--federation",
            str(homes.coordinator_home.federation),
        )
        ecgfl(homes.coordinator, "coordinator", "enrol", str(home.node_public_key), "--site", name)
        ecgfl(home.root, "ingest", str(exports))
        shutil.rmtree(exports)
    return homes


def test_a_run_passes_with_the_defaults(ordinary: Homes, processes: Processes) -> None:
    """All rounds have both sites, no request is refused, and no reply is dropped."""
    assert told(ordinary.site("alice").root, "doctor").code == 0
    server, port = processes.serve(
        ordinary.coordinator, "--rounds", str(ROUNDS), "--min-sites", "2"
    )
    joins = [processes.join(ordinary.site(name).root, port) for name in ("alice", "bob")]
    for join in joins:
        ended = join.finish(300)
        assert ended.code in (0, 7), ended.said  # 7: this site keeps the starter model
        assert (ended.result.get("rounds"), ended.code) in ((ROUNDS, 0), (None, 7))
    served = server.finish()
    assert served.code == 0, served.said
    assert [result["dropped"] for result in served.result["rounds"]] == [[]] * ROUNDS
    assert all(result["metrics"]["pvcs"] for result in served.result["rounds"])
    for name in ("alice", "bob"):
        assert logged(ordinary, "refused", name) == []
        works = [entry["work"] for entry in logged(ordinary, "request", name)]
        assert works == ["train", "measure"] * ROUNDS
        assert told(ordinary.site(name).root, "audit", "verify").code == 0


def test_random_weights_need_consent_of_the_sites(
    ordinary: Homes, processes: Processes, tmp_path: Path
) -> None:
    homes = Homes(tmp_path / "scratch")
    shutil.copytree(ordinary.folder, homes.folder)
    server, port = processes.serve(
        homes.coordinator, "--rounds", "1", "--min-sites", "2", "--from-scratch"
    )
    joins = [processes.join(homes.site(name).root, port) for name in ("alice", "bob")]
    for join in joins:
        assert "policy.from_scratch = true" in join.finish(300).refused(7)
    assert server.finish().code == 4
    for name in ("alice", "bob"):
        settings = homes.site(name).settings
        settings.write_text(
            settings.read_text().replace("from_scratch = false", "from_scratch = true")
        )
    server, port = processes.serve(
        homes.coordinator, "--rounds", "1", "--min-sites", "2", "--from-scratch"
    )
    joins = [processes.join(homes.site(name).root, port) for name in ("alice", "bob")]
    for join in joins:
        assert join.finish(300).code in (0, 7)
    assert server.finish().code == 0, server.said
