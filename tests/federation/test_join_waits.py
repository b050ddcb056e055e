"""What passes by itself is waited for; what does not is one line at once."""

import re
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from certificates import DAY, certify
from federation_homes import SITES, Homes
from node_processes import Ended, Processes, told
from shared_runs import Waiting

from ecgfl_cli.errors import ModelRejected, SessionLost
from ecgfl_cli.federation.site import participation
from ecgfl_cli.logs import Event

PATIENT = ("--once", "--max-wait", "60s")
PROMPT_SECONDS = 15.0
TERM_SECONDS = 10.0


def join(homes: Homes, port: int) -> Ended:
    """A patient join that has no reason to wait."""
    began = time.monotonic()
    ended = told(homes.site("alice").root, "join", "--server", f"localhost:{port}", *PATIENT)
    assert time.monotonic() - began < PROMPT_SECONDS
    return ended


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def served(homes: Homes) -> Iterator[Callable[[], int]]:
    """served(): start a server with the coordinator's certificate that ends after the handshake.

    Returns its port on 127.0.0.1.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def start() -> int:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(
                homes.coordinator_home.server_certificate, homes.coordinator_home.server_key
            )
            threading.Thread(target=_shake_hands, args=(listener, context), daemon=True).start()
            return int(listener.getsockname()[1])

        yield start


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            client = listener.accept()[0]
        except OSError:
            return
        try:
            context.wrap_socket(client, server_side=True).close()
        except OSError:
            client.close()


@pytest.mark.parametrize(
    ("begins", "ends", "said"),
    [
        (-2 * DAY, -DAY, "has expired"),
        (DAY, 2 * DAY, "not valid yet"),
        (-DAY, -timedelta(seconds=5), "has expired"),
    ],
)
def test_a_certificate_out_of_its_time_is_told_at_once(
    homes: Homes, served: Callable[[], int], begins: timedelta, ends: timedelta, said: str
) -> None:
    certify(homes.coordinator_home, begins=begins, ends=ends)
    line = join(homes, served()).refused(4)
    assert said in line
    assert "clock" in line


@pytest.mark.parametrize("seconds", [600, 3600, -3600])
def test_a_wrong_clock_is_tried_again_until_the_wait_is_over(
    waiting: Waiting, homes: Homes, wrong_clock: Callable[[float], None], seconds: float
) -> None:
    wrong_clock(seconds)
    began = time.monotonic()
    ended = told(
        homes.site("alice").root,
        "join",
        "--server",
        f"localhost:{waiting.port}",
        "--once",
        "--max-wait",
        "8s",
    )
    line = ended.refused(4)
    assert time.monotonic() - began > 6
    assert ("ahead" if seconds > 0 else "behind") in line
    assert [("clock" in each, "trying again" in each) for each in ended.said].count(
        (True, True)
    ) == 1


def test_a_clock_that_is_corrected_is_no_obstacle(
    waiting: Waiting,
    homes: Homes,
    wrong_clock: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong_clock(3600)
    restore = threading.Timer(3, monkeypatch.undo)
    restore.start()
    ended = told(
        homes.site("alice").root,
        "join",
        "--server",
        f"localhost:{waiting.port}",
        "--once",
        "--max-wait",
        "12s",
    )
    restore.join()
    assert ended.code == 0, ended.said
    assert any("connected to" in line for line in ended.said)


def test_another_version_is_told_at_once(
    waiting: Waiting,
    homes: Homes,
    other_version: None,  # noqa: ARG001
) -> None:
    assert "same ecgfl version" in join(homes, waiting.port).refused(4)


def test_a_coordinator_that_starts_late_is_waited_for(homes: Homes, processes: Processes) -> None:
    port = free_port()
    early = processes.join(homes.site("alice").root, port)
    early.wait_for(Event.RETRYING, reason="not-reached")
    processes.start(
        homes.coordinator,
        "coordinator",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--min-sites",
        "3",
    )
    early.wait_for(Event.CONNECTED)
    early.end()


@pytest.mark.parametrize("wait", [2, 3])
def test_one_waiting_time_is_named_for_one_outage(homes: Homes, wait: int) -> None:
    began = time.monotonic()
    options = ("--server", f"localhost:{free_port()}", "--once", "--max-wait", f"{wait}s")
    ended = told(homes.site("alice").root, "join", *options)
    assert f"not reached within {wait} s" in ended.refused(4)
    assert re.findall(r"within \d+ s|in \d+ s", "\n".join(ended.said)) == [f"within {wait} s"]
    assert time.monotonic() - began < wait + PROMPT_SECONDS


def test_an_unknown_architecture_in_the_policy_is_told(homes: Homes) -> None:
    settings = homes.site("alice").settings
    settings.write_text(
        settings.read_text().replace('["beatnet", "ecgnet"]', '["beatnet", "ecgnet2"]')
    )
    assert "'ecgnet2'" in told(
        homes.site("alice").root, "join", "--server", "localhost:1", *PATIENT
    ).refused(2)


def test_a_coordinator_that_is_started_again_is_joined_again(
    homes: Homes, processes: Processes
) -> None:
    serve = ("coordinator", "serve", "--host", "127.0.0.1", "--min-sites", "3", "--port")
    port = free_port()
    first = processes.start(homes.coordinator, *serve, str(port))
    first.wait_for(Event.WAITING_FOR_SITES)
    site = processes.join(homes.site("alice").root, port)
    first.wait_for(Event.SITE_CONNECTED, site="alice")
    first.kill()
    again = processes.start(homes.coordinator, *serve, str(port))
    again.wait_for(Event.SITE_CONNECTED, site="alice")
    assert site.code is None
    site.end()


@pytest.mark.slow
def test_coordinator_lost_in_a_run_is_waited_for_from_then_on(
    homes: Homes, processes: Processes
) -> None:
    serve = (
        "coordinator",
        "serve",
        "--host",
        "127.0.0.1",
        "--min-sites",
        "2",
        "--rounds",
        "200",
        "--port",
    )
    port, wait = free_port(), 10
    first = processes.start(homes.coordinator, *serve, str(port))
    first.wait_for(Event.WAITING_FOR_SITES)
    began = time.monotonic()
    sites = [
        processes.join(homes.site(name).root, port, max_wait=f"{wait}s")
        for name in ("alice", "bob")
    ]
    while time.monotonic() < began + wait + 2:
        time.sleep(0.1)
    assert [site.code for site in sites] == [None, None], [site.said for site in sites]
    first.kill()
    again = processes.start(homes.coordinator, *serve, str(port))
    again.wait_for(Event.RUN_RESUMED)
    again.wait_for(Event.ROUND_FINISHED)
    for site in sites:
        assert site.end().code == 130


def test_without_once_it_waits_for_a_run_as_long_as_it_is_told_to(
    waiting: Waiting, homes: Homes
) -> None:
    ended = told(
        homes.site("alice").root,
        "join",
        "--server",
        f"localhost:{waiting.port}",
        "--max-wait",
        "1s",
    )
    assert ended.code == 0, ended.said
    assert ended.result["participated"] is False


def test_interrupted_in_a_run_it_leaves_soon_and_may_come_back(
    homes: Homes, processes: Processes
) -> None:
    server, port = processes.serve(homes.coordinator, "--rounds", "50", "--min-sites", "2")
    alice, *_ = (processes.join(homes.site(name).root, port) for name in SITES)
    server.wait_for(Event.ROUND_STARTED, sites=sorted(SITES))  # alice is one of all three
    alice.wait_for(Event.TRAINED)
    began = time.monotonic()
    ended = alice.end()
    assert time.monotonic() - began < TERM_SECONDS
    assert ended.code == 130, ended.said
    again = processes.join(homes.site("alice").root, port)
    again.wait_for(Event.CONNECTED, 30)
    assert not again.logged(Event.RETRYING, reason="last-session")
    assert told(homes.site("alice").root, "audit", "verify").code == 0


def test_max_time_ends_it_in_the_middle_of_a_run(homes: Homes, processes: Processes) -> None:
    _, port = processes.serve(homes.coordinator, "--rounds", "200", "--min-sites", "2")
    processes.join(homes.site("bob").root, port)
    alice = processes.join(homes.site("alice").root, port, "--max-time", "6s")
    ended = alice.finish(30)
    assert ended.code == 0, ended.said
    assert ended.result["version"] is None
    assert (
        told(homes.site("alice").root, "audit", "show", "--last", "1").result["entries"][0]["event"]
        == "leave"
    )


def test_the_same_key_in_two_homes_is_told_when_max_wait_is_over(
    waiting: Waiting, homes: Homes, processes: Processes, tmp_path: Path
) -> None:
    home = homes.site("carol").root
    shutil.copytree(home, tmp_path / "copy")
    first = processes.join(home, waiting.port)
    first.wait_for(Event.CONNECTED)
    ended = told(
        tmp_path / "copy",
        "join",
        "--server",
        f"localhost:{waiting.port}",
        "--once",
        "--max-wait",
        "4s",
    )
    assert "connected already" in ended.refused(4)
    first.end()


@pytest.mark.slow
def test_without_once_it_stays_for_run_after_run(homes: Homes, processes: Processes) -> None:
    port = free_port()
    staying = [
        processes.start(homes.site(name).root, "join", "--server", f"localhost:{port}")
        for name in ("alice", "bob")
    ]
    for run in (1, 2):
        server = processes.start(
            homes.coordinator,
            *("coordinator", "serve", "--host", "127.0.0.1", "--port", str(port), "--rounds", "1"),
        )
        served = server.finish()
        assert served.code == 0, served.said
        for site in staying:
            deadline = time.monotonic() + 20
            while (
                sum("the run is over" in line for line in site.said) < run
                and time.monotonic() < deadline
            ):
                time.sleep(0.1)
            assert site.code is None, site.said
    for name, site in zip(("alice", "bob"), staying, strict=True):
        assert site.end().code == 130
        last = told(homes.site(name).root, "audit", "show", "--last", "1").result["entries"][0]
        assert (last["event"], last["participated"]) == ("leave", True)


def test_without_once_it_is_no_error_that_no_further_run_comes(
    homes: Homes, processes: Processes
) -> None:
    server, port = processes.serve(homes.coordinator, "--rounds", "1")
    arguments = ("join", "--server", f"localhost:{port}", "--max-wait", "6s")
    sites = [processes.start(homes.site(name).root, *arguments) for name in ("alice", "bob")]
    model = server.finish().result["model"]
    for site in sites:
        ended = site.finish()
        assert (ended.code, ended.result["version"]) == (0, model), ended.said
        assert "no further run" in ended.said[-1]


class LostInARun:
    """Stands for a connection and its node: a run is offered, and the session is lost in it."""

    offered, not_taken = True, None
    participant = SimpleNamespace(run="r1", rounds=1, final=None, caught_up=None)

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> "LostInARun":
        return self

    def __exit__(self, *_: object) -> None: ...

    def wait(self, deadline: float) -> bool:  # noqa: ARG002
        return True

    def take_part(self, deadline: float) -> None:  # noqa: ARG002
        raise SessionLost("the session is lost", "Start again")


def test_once_does_not_wait_for_the_next_night(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(participation, "FleetConnection", LostInARun)
    monkeypatch.setattr(participation, "Session", LostInARun)
    monkeypatch.setattr(participation, "_wait_for_hours", lambda *_: time.monotonic() + 1)
    ended = told(homes.site("alice").root, "join", "--server", "localhost:1", *PATIENT)
    assert "the session is lost" in ended.refused(4)


class WithoutARun(LostInARun):
    """A session without a round, in which this site refuses a model of an earlier run."""

    offered, not_taken = (
        False,
        ModelRejected("the model's signature is not this federation's", "Do not use it"),
    )

    def wait(self, deadline: float) -> bool:  # noqa: ARG002
        return False


def test_missed_model_that_is_refused_is_an_error_without_a_run(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(participation, "FleetConnection", WithoutARun)
    monkeypatch.setattr(participation, "Session", WithoutARun)
    ended = told(homes.site("alice").root, "join", "--server", "localhost:1", *PATIENT)
    assert "signature" in ended.refused(7)


def test_nobody_takes_part_with_a_changed_audit_log(waiting: Waiting, homes: Homes) -> None:
    log = homes.site("alice").audit
    log.write_text("".join(log.read_text().splitlines(keepends=True)[1:]))
    assert "audit restart" in join(homes, waiting.port).refused(3)
