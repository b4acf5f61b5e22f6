"""Free ports for servers that come back on the same port after a restart.

Nobody reserves a port: it may be taken between the look at it and its use, or while its server is stopped. So test
processes that run side by side take theirs from parts of the range that have nothing in common.
"""

import random
import socket

from tests.side_by_side import PROCESS, PROCESSES

# Below the range that systems use for outgoing connections (from 32768 on Linux): otherwise any client's connection
# could sit on a stopped broker's port at the moment when the broker wants it back.
_ALL_SERVER_PORTS = range(20_000, 32_000)
_SHARE = len(_ALL_SERVER_PORTS) // PROCESSES
SERVER_PORTS = _ALL_SERVER_PORTS[PROCESS * _SHARE :][:_SHARE]


def free_ports(count: int, *hosts: str) -> list[int]:
    """Ports that are free on each of these hosts; by default on 127.0.0.1."""
    hosts = hosts or ("127.0.0.1",)
    found: list[int] = []
    for port in random.sample(SERVER_PORTS, len(SERVER_PORTS)):
        if len(found) == count:
            return found
        if all(is_free(host, port) for host in hosts):
            found.append(port)
    raise OSError(f"fewer than {count} free ports between {SERVER_PORTS.start} and {SERVER_PORTS.stop} on {hosts}")


def is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
