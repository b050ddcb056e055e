"""A silent site is left out when the phase's time is up; it ends in order, or comes back."""

import pytest
from harmed_sites import FRANKS_PATIENCE, ROUNDS, HarmedRun
from node_processes import told

pytestmark = pytest.mark.slow


def assert_whole(harmed_run: HarmedRun, name: str) -> None:
    home = harmed_run.homes.site(name)
    assert told(home.root, "audit", "verify").code == 0
    assert told(home.root, "model", "verify").code == 0


def test_site_with_a_dead_line_ends_and_says_so(harmed_run: HarmedRun) -> None:
    frank = harmed_run.joined["frank"]
    assert "not reached within" in frank.refused(4)
    assert [
        line
        for line in frank.said
        if f"not reached within {FRANKS_PATIENCE.removesuffix('s')} s" in line
    ]
    assert "frank: no answer" in harmed_run.round(2)["dropped"]
    assert all("frank" not in harmed_run.round(number)["sites"] for number in range(2, ROUNDS + 1))
    assert [entry.manifest.round for entry in harmed_run.homes.registry("frank").entries()] == [1]
    assert_whole(harmed_run, "frank")


def test_stopped_site_loses_its_round_and_ends_with_the_run(
    harmed_run: HarmedRun,
) -> None:
    assert "grace: no answer" in harmed_run.round(2)["dropped"]
    assert "grace" not in harmed_run.round(2)["sites"]
    ended = harmed_run.joined["grace"]
    assert ended.code == 0, ended.said
    assert harmed_run.homes.registry("grace").current() == harmed_run.served.result["model"]
    assert_whole(harmed_run, "grace")
