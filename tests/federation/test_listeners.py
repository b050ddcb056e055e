"""A site does not listen, and connects to its coordinator only, which listens on one port."""

import ipaddress

import psutil
import pytest
from federation_homes import SITES
from shared_runs import Finished


@pytest.mark.parametrize("name", SITES)
def test_a_joined_site_listens_nowhere(finished: Finished, name: str) -> None:
    assert finished.sockets[name], "looked at after the process had its sockets"
    assert [
        each
        for each in finished.sockets[name]
        if each.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
    ] == []


@pytest.mark.parametrize("name", SITES)
def test_a_joined_site_talks_to_its_coordinator_only(finished: Finished, name: str) -> None:
    for each in finished.sockets[name]:
        assert each.remote is not None
        assert ipaddress.ip_address(each.remote[0]).is_loopback
        assert each.remote[1] == finished.port


def test_the_coordinator_listens_on_its_public_port_only(finished: Finished) -> None:
    listening = {
        each.local
        for each in finished.sockets["coordinator"]
        if each.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
    }
    assert listening == {("127.0.0.1", finished.port)}


def test_the_coordinator_calls_nobody(finished: Finished) -> None:
    for each in finished.sockets["coordinator"]:
        assert each.local[1] == finished.port
