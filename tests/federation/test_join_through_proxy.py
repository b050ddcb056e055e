"""HTTPS_PROXY and NO_PROXY are followed, and a proxy that refuses is named."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from certificates import certify
from connect_proxy import ConnectProxy, connect_proxy
from federation_homes import Homes
from node_processes import Ended, Processes, told

from ecgfl_cli.logs import Event

HOST = "ecg.example.org"
"""No name service knows it; only the proxy can lead there."""
SERVER = f"{HOST}:8443"


@dataclass(frozen=True)
class Behind:
    homes: Homes
    port: int


@pytest.fixture(scope="module")
def behind(copied: Callable[[str], Homes], module_processes: Processes) -> Behind:
    """A coordinator called `HOST` that waits for sites."""
    homes = copied("behind")
    certify(homes.coordinator_home, HOST)
    server, port = module_processes.serve(homes.coordinator, "--min-sites", "3")
    server.wait_for(Event.WAITING_FOR_SITES)
    return Behind(homes, port)


@pytest.fixture
def proxy(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> Iterator[ConnectProxy]:
    with connect_proxy(behind.port) as proxy:
        use(monkeypatch, proxy.url)
        yield proxy


def use(monkeypatch: pytest.MonkeyPatch, url: str, without: str = "") -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", url)
    monkeypatch.setenv("NO_PROXY", without)


def join(behind: Behind, server: str = SERVER, wait: str = "2s") -> Ended:
    return told(
        behind.homes.site("alice").root, "join", "--server", server, "--once", "--max-wait", wait
    )


def test_a_join_goes_through_the_proxy_by_name(behind: Behind, proxy: ConnectProxy) -> None:
    ended = join(behind)
    assert ended.code == 0, ended.said
    assert ended.result["participated"] is False
    assert proxy.targets == {SERVER}


def test_credentials_are_sent_to_the_proxy_and_never_shown(
    behind: Behind, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, proxy.url.replace("//", "//user:sesame@"))
    assert join(behind).code == 0
    assert "proxy-authorization: basic dxnlcjpzzxnhbwu=" in proxy.asked[0].lower()
    proxy.status = "403 Forbidden"
    assert "sesame" not in " ".join(join(behind).said)


@pytest.mark.parametrize("without", [HOST, ".example.org", "other.org, example.org", "*"])
def test_no_proxy_leads_past_it(
    behind: Behind, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    use(monkeypatch, proxy.url, without)
    line = join(behind, wait="1s").refused(4)
    assert "does not resolve" in line
    assert "proxy" not in line
    assert proxy.asked == []


def test_this_machine_is_never_behind_a_proxy(behind: Behind, proxy: ConnectProxy) -> None:
    join(behind, f"localhost:{behind.port}", wait="1s").refused(4)  # its certificate is for HOST
    assert proxy.asked == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("407 Proxy Authentication Required", "password"),
        ("403 Forbidden", "refuses the connection"),
    ],
)
def test_a_proxy_that_refuses_is_named_at_once(
    behind: Behind, proxy: ConnectProxy, status: str, said: str
) -> None:
    proxy.status = status
    line = join(behind, wait="60s").refused(4)
    assert said in line
    assert status in line
    assert proxy.url in line
    assert len(proxy.asked) == 1


def test_a_proxy_that_cannot_reach_the_server_is_tried_again(
    behind: Behind, proxy: ConnectProxy
) -> None:
    proxy.status = "503 Service Unavailable"
    line = join(behind).refused(4)
    assert "503" in line
    assert proxy.url in line
    assert len(proxy.asked) > 1


def test_a_proxy_that_is_not_there_is_named(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    use(monkeypatch, url)
    line = join(behind, wait="1s").refused(4)
    assert url in line
    assert "HTTPS_PROXY" in line


@pytest.mark.parametrize(
    "url",
    ["socks5://127.0.0.1:1", "http://", "http://host:port", "http://:3128", "http://host:99999"],
)
def test_a_setting_that_is_no_proxy_is_a_usage_error(
    behind: Behind, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    use(monkeypatch, url)
    assert "HTTPS_PROXY" in join(behind).refused(2)


def checks(behind: Behind) -> dict[str, dict[str, str]]:
    ran = told(behind.homes.site("alice").root, "doctor", "--server", SERVER)
    return {check["name"]: check for check in ran.result["checks"]}


def test_doctor_shows_the_proxy_and_looks_through_it(behind: Behind, proxy: ConnectProxy) -> None:
    found = checks(behind)
    assert found["proxy"]["state"] == proxy.url
    assert [
        found[name]["problem"] for name in ("coordinator", "TLS", "clock", "versions", "enrolment")
    ] == [None] * 5
    proxy.status = "403 Forbidden"
    found = checks(behind)
    assert "403" in found["coordinator"]["problem"]
    assert found["enrolment"]["state"] == "not checked"


def test_doctor_names_a_setting_that_is_no_proxy(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "socks5://127.0.0.1:1")
    assert "HTTPS_PROXY" in checks(behind)["coordinator"]["problem"]
