"""A run of a dozen sites through the public port."""

from collections.abc import Callable

import pytest
from federation_homes import Homes
from light_sites import homes_for, light_sites
from node_processes import Processes

from ecgfl_cli.federation.coordinator.identity.enrolment import enrol
from ecgfl_cli.federation.coordinator.runs.run_record import load_report

SITES = [f"site-{number:02}" for number in range(12)]
ROUNDS = 2


@pytest.mark.slow
def test_a_run_of_twelve_sites_comes_about(
    copied: Callable[[str], Homes], processes: Processes
) -> None:
    homes = copied("many")
    sites = homes_for(homes.folder, SITES)
    for name, home in sites.items():
        enrol(homes.coordinator_home, home.node_public_key, name)
    server, port = processes.serve(
        homes.coordinator, "--rounds", str(ROUNDS), "--min-sites", str(len(SITES))
    )
    with light_sites(list(sites.values()), f"localhost:{port}", homes.federation) as ended:
        served = server.finish()
    assert served.code == 0, served.said
    assert {each.site: each.problem for each in ended} == dict.fromkeys(SITES)
    assert {each.final for each in ended} == {served.result["model"]}
    expected = [(kind, number) for number in range(1, ROUNDS + 1) for kind in ("train", "evaluate")]
    assert all(
        [(answer.kind, answer.round) for answer in each.answers] == expected for each in ended
    )
    report = load_report(next(homes.coordinator_home.reports.glob("*.json")))
    assert [each.sites for each in report.rounds] == [SITES] * ROUNDS
    assert [each.dropped for each in report.rounds] == [[]] * ROUNDS
