"""Check the coordinator: connection, certificate, clock, versions, and this site's enrolment."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from ecgfl_cli.doctor.check import Check
from ecgfl_cli.errors import (
    ClockWrong,
    EcgflError,
    NotEnrolled,
    ServerError,
    TlsFailed,
    VersionMismatch,
)
from ecgfl_cli.federation.connection.clock import clock_problem
from ecgfl_cli.federation.connection.proxy import proxy_for
from ecgfl_cli.federation.connection.tls import RENEW_BEFORE
from ecgfl_cli.federation.flower.preflight import Preflight, check_admission
from ecgfl_cli.models.federation_file import ca_certificate, load_federation
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import load_node_key

ANSWER_SECONDS = 20.0
NOT_CHECKED = "not checked"

STEPS: tuple[tuple[str, type[ServerError]], ...] = (
    ("coordinator", ServerError),
    ("TLS", TlsFailed),
    ("clock", ClockWrong),
    ("versions", VersionMismatch),
    ("enrolment", NotEnrolled),
)
"""The steps of a connection in order. An error of any other class belongs to the first step."""


def check_server(home: Home, server: str, ca: Path | None) -> Iterator[Check]:
    """Make one call as `join` would. It changes nothing and has a time limit."""
    try:
        proxy = proxy_for(server)
        yield Check("proxy", "none on the way" if proxy is None else proxy.shown)
        federation, key = load_federation(home.federation), load_node_key(home)
        answer = check_admission(
            server,
            ca_certificate(federation, ca),
            key,
            federation.signing_public_key,
            ANSWER_SECONDS,
        )
    except EcgflError as error:  # the proxy's setting, or a problem that another check reports
        yield Check("coordinator", NOT_CHECKED, error.problem, error.fix)
        return
    yield from _steps(server, answer)


def _steps(server: str, answer: Preflight) -> Iterator[Check]:
    stopped_at = None
    if answer.error is not None:
        stopped_at = [name for name, kind in STEPS if isinstance(answer.error, kind)][-1]
    is_behind = False
    for name, _ in STEPS:
        problem = answer.error if name == stopped_at else _about_to_fail(name, server, answer)
        if problem is not None:
            yield Check(name, "-", problem.problem, problem.fix)
        else:
            yield Check(name, NOT_CHECKED if is_behind else _state(name, server, answer))
        is_behind = is_behind or name == stopped_at


def _about_to_fail(name: str, server: str, answer: Preflight) -> ServerError | None:
    """Return a problem that will soon stop the connection."""
    if name == "clock" and answer.ahead is not None:
        return clock_problem(server, answer.ahead)
    until = answer.certificate_until
    if name == "TLS" and until is not None and until < datetime.now(UTC) + RENEW_BEFORE:
        return TlsFailed(
            f"{server}: the coordinator's certificate expires on {until:%Y-%m-%d}",
            "Tell the coordinator to renew it (`ecgfl coordinator renew`); after that day no site "
            "can join",
        )
    return None


def _state(name: str, server: str, answer: Preflight) -> str:
    if name == "coordinator":
        return f"{server} answers"
    if name == "TLS":
        until = answer.certificate_until
        return "trusted" if until is None else f"trusted, until {until:%Y-%m-%d}"
    if name == "clock":
        return (
            NOT_CHECKED if answer.ahead is None else f"right to {max(1.0, abs(answer.ahead)):.0f} s"
        )
    if name == "versions":
        return f"ecgfl {version('ecgfl')}, Flower {version('flwr')}"
    return "this site's key is known"
