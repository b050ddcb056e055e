"""Check the address of the coordinator, HOST:PORT."""

import re

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation.connection.proxy import is_loopback

HOST = re.compile(r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])$")


def check_address(server: str, insecure: bool) -> None:
    """Check the options --server and --insecure of `join`.

    Parameters
    ----------
    server
        Address of the coordinator.
    insecure
        Whether the site connects without TLS. Only a loopback address allows that.

    Raises
    ------
    UsageError
        The address is not HOST:PORT, or `insecure` is set for another machine.
    """
    host, separator, port = server.rpartition(":")
    valid = separator and HOST.match(host) and port.isascii() and port.isdigit()
    if not valid or not 0 < int(port) < 65536:
        raise UsageError(
            f"--server {server!r} is not HOST:PORT", "For instance --server ecg.example.org:8443"
        )
    if insecure and not is_loopback(host.strip("[]")):
        raise UsageError(
            f"--insecure is not allowed for {host}, because it is not this machine",
            "Omit --insecure: a connection over a network needs TLS",
        )
