"""Which HTTP proxy leads to the coordinator: what HTTPS_PROXY and NO_PROXY say, on Windows also the system's own setting."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from ecgfl_cli.errors import UsageError

SCHEMES = ("http", "https")


@dataclass(frozen=True)
class Proxy:
    """url : with its user and password, if any; for the connection only, never to be shown."""

    url: str

    @property
    def shown(self) -> str:
        """Without user and password."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))


def proxy_for(server: str) -> Proxy | None:
    """The proxy on the way to "HOST:PORT", None where there is none. This machine itself is never reached by one.

    Raises `UsageError` when what is set is no proxy's address.
    """
    host = server.rpartition(":")[0].strip("[]")
    if is_loopback(host):
        return None
    proxies = getproxies()
    name = "HTTPS_PROXY" if proxies.get("https") else "ALL_PROXY"
    url = proxies.get("https") or proxies.get("all")
    if not url or proxy_bypass(server if ":" not in host else host):
        return None
    url = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(
            f"{name} is not a proxy's address (http://HOST:PORT)",
            f"Correct {name}, or set NO_PROXY={host} if no proxy leads to the coordinator",
        )
    return Proxy(url)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or address alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
