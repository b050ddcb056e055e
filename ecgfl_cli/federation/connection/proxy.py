"""Select the HTTP proxy for the connection to the coordinator.

It comes from HTTPS_PROXY and NO_PROXY, on Windows also from the system's settings.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from ecgfl_cli.errors import UsageError

SCHEMES = ("http", "https")


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy.

    Attributes
    ----------
    url
        Address with the user name and the password, if any. Use it to connect only, never in a
        message.
    """

    url: str

    @property
    def shown(self) -> str:
        """Address without user name and password, for messages."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))


def proxy_for(server: str) -> Proxy | None:
    """Return the proxy for connections to a server.

    Parameters
    ----------
    server
        Address of the server, "HOST:PORT".

    Returns
    -------
    Proxy or None
        None if the connection needs no proxy. A loopback address never uses one.

    Raises
    ------
    UsageError
        The environment variable is not a valid address of a proxy.
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
            f"{name} is not the address of a proxy (http://HOST:PORT)",
            f"Correct {name}, or set NO_PROXY={host} to connect without a proxy",
        )
    return Proxy(url)


def is_loopback(host: str) -> bool:
    """Return whether a host is localhost or a loopback address. No name is resolved."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
