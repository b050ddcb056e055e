"""`ecgfl doctor --server` names what is wrong between a site and its coordinator."""

import re
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from certificates import certify
from federation_homes import Homes, ecgfl
from node_processes import Processes, contents, told
from shared_runs import Waiting

from ecgfl_cli.logs import Event

STEPS = ("coordinator", "TLS", "clock", "versions", "enrolment")
Checks = dict[str, dict[str, str | None]]


def checks(home: Path, port: int, *arguments: str, host: str = "localhost") -> Checks:
    """What was found about the server; the home stays as it is."""
    before = contents(home)
    ran = told(home, "doctor", "--server", f"{host}:{port}", *arguments)
    assert contents(home) == before
    found = {check["name"]: check for check in ran.result["checks"]}
    assert ran.code == (3 if any(check["problem"] for check in found.values()) else 0)
    return found


def failed(found: Checks) -> list[str]:
    return [name for name in STEPS if found[name]["problem"]]


def test_all_is_well(waiting: Waiting, homes: Homes) -> None:
    found = checks(homes.site("alice").root, waiting.port)
    assert failed(found) == []
    assert [found[name]["state"] for name in STEPS if found[name]["state"] == "not checked"] == []
    assert found["proxy"]["state"] == "none on the way"


def test_nobody_joins_by_it(waiting: Waiting, homes: Homes) -> None:
    said = len(waiting.server.said)
    checks(homes.site("alice").root, waiting.port)
    time.sleep(1)
    assert waiting.server.said[said:] == []


def test_it_may_look_while_the_site_is_connected(
    waiting: Waiting, homes: Homes, processes: Processes
) -> None:
    home = homes.site("alice").root
    join = processes.join(home, waiting.port)
    join.wait_for(Event.CONNECTED)
    found = checks(home, waiting.port)
    assert failed(found) == []
    assert "another ecgfl" in str(found["lock"]["problem"])
    join.end()


def test_a_key_that_is_not_enrolled(waiting: Waiting, homes: Homes) -> None:
    home = homes.site("alice")
    home.node_key.unlink()
    home.node_public_key.unlink()
    ecgfl(home.root, "init", "--site", "alice")
    found = checks(home.root, waiting.port)
    assert failed(found) == ["enrolment"]
    assert "coordinator enrol" in str(found["enrolment"]["fix"])


def test_a_server_that_is_down(homes: Homes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = checks(homes.site("alice").root, port)
    assert failed(found) == ["coordinator"]
    assert [found[name]["state"] for name in STEPS[1:]] == ["not checked"] * 4


def test_a_name_that_does_not_resolve(homes: Homes) -> None:
    assert "resolve" in str(
        checks(homes.site("alice").root, 8443, host="no-such.invalid")["coordinator"]["problem"]
    )


def test_a_server_that_says_nothing_is_not_waited_for(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecgfl_cli.doctor.server_checks.ANSWER_SECONDS", 1.0)
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = checks(homes.site("alice").root, listener.getsockname()[1])
    assert failed(found) == ["coordinator"]
    assert time.monotonic() - began < 5


def test_another_ca(waiting: Waiting, homes: Homes, tmp_path: Path) -> None:
    ecgfl(tmp_path / "other", "coordinator", "init", "--name", "localhost")
    other = str(tmp_path / "other" / "coordinator" / "ca.crt")
    found = checks(homes.site("alice").root, waiting.port, "--ca", other)
    assert failed(found) == ["TLS"]
    assert "another CA" in str(found["TLS"]["problem"])


def test_a_wrong_name(waiting: Waiting, homes: Homes) -> None:
    found = checks(homes.site("alice").root, waiting.port, host="127.1")
    assert failed(found) == ["TLS"]
    assert "another name" in str(found["TLS"]["problem"])


def test_a_certificate_about_to_expire_is_told_in_time(homes: Homes, processes: Processes) -> None:
    certify(homes.coordinator_home, ends=timedelta(days=5))
    _, port = processes.serve(homes.coordinator, "--min-sites", "3")
    found = checks(homes.site("alice").root, port)
    assert failed(found) == ["TLS"]
    assert "expires on" in str(found["TLS"]["problem"])
    assert found["enrolment"]["state"] == "this site's key is known"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (200, "(199|200|201) s ahead"),
        (-200, "(199|200|201) s behind"),
        (900, "(899|900|901) s ahead"),
    ],
)
def test_a_clock_that_is_wrong(
    waiting: Waiting, homes: Homes, wrong_clock: Callable[[float], None], seconds: float, said: str
) -> None:
    wrong_clock(seconds)
    found = checks(homes.site("alice").root, waiting.port)
    assert failed(found) == ["clock"]
    assert re.search(said, str(found["clock"]["problem"]))


def test_another_flower_version(waiting: Waiting, homes: Homes, other_version: None) -> None:  # noqa: ARG001
    assert failed(checks(homes.site("alice").root, waiting.port)) == ["versions"]
