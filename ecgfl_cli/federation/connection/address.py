"""HOST:PORT of the coordinator."""

import re

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.connection.proxy import is_loopback

HOST = re.compile(r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])$")


def check_address(server: str, insecure: bool) -> None:
    """Raises `UsageError` unless `server` is HOST:PORT, and a loopback address where TLS is to be left out."""
    host, separator, port = server.rpartition(":")
    valid = separator and HOST.match(host) and port.isascii() and port.isdigit()
    if not valid or not 0 < int(port) < 65536:
        raise UsageError(
            f"--server {server!r} is not HOST:PORT", "For instance --server ecg.example.org:8443"
        )
    if insecure and not is_loopback(host.strip("[]")):
        raise UsageError(
            f"--insecure towards {host}, which is not this machine",
            "Leave --insecure out: TLS is needed on a network",
        )
