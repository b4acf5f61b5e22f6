"""Free ports for servers that come back on the same port after a restart."""

import random
import socket

# Below the range that systems use for outgoing connections (from 32768 on Linux): otherwise any client's connection
# could sit on a stopped broker's port at the moment when the broker wants it back.
SERVER_PORTS = range(20_000, 32_000)


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    found: list[int] = []
    for port in random.sample(SERVER_PORTS, len(SERVER_PORTS)):
        if len(found) == count:
            return found
        if _is_free(host, port):
            found.append(port)
    raise OSError(f"fewer than {count} free ports between {SERVER_PORTS.start} and {SERVER_PORTS.stop} on {host}")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
