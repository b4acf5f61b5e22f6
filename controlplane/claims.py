"""Ports that the workers of one gateway share, and nobody else may have.

With SO_REUSEPORT any process of the same user could join in unnoticed, a second gateway by mistake. So each port is
first bound as one that nobody shares, which finds out whether it is free, and then held, without listening, until the
end.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final

_Info = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]

_LISTENING: Final = 1


class Claims:
    """The supervisor's hold on its ports."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], list[socket.socket]] = {}

    async def claim(self, host: str, port: int) -> None:
        """Make a port this gateway's, if it isn't. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        if (host, port) not in self._held:
            self._held[host, port] = _hold(found)

    def release(self) -> None:
        for held in self._held.values():
            for each in held:
                each.close()
        self._held.clear()


def _hold(found: Sequence[_Info]) -> list[socket.socket]:
    held: list[socket.socket] = []
    try:
        for info in dict.fromkeys(found):
            _try_alone(info)
            held.append(_bound(info, shared=True))
            # a stranger who is willing to share would be let in beside a socket that is, too
            held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        for each in held:
            each.close()
        raise
    return held


def _try_alone(info: _Info) -> None:
    with _bound(info, shared=False) as alone:
        alone.listen(_LISTENING)


def _bound(info: _Info, shared: bool) -> socket.socket:
    """As asyncio binds the sockets that listen, so that the remains of ended connections don't count."""
    family, kind, protocol, _, address = info
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
