"""File descriptors: as many as the system lets this process have, and how many clients that is enough for."""

import resource
from typing import Final

PER_CLIENT: Final = 2
"""One to the client and one to its broker."""

RESERVED: Final = 256
"""For listeners, the admin interface, files, and connections of the gateway's own."""


def raise_limit() -> int:
    """Allow as many open files as may be allowed without privileges; how many those are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            # some systems announce more than they grant
            return soft
    return hard


def clients_that_fit(descriptors: int) -> int:
    """How many clients can be served at once with so many descriptors."""
    if descriptors == resource.RLIM_INFINITY:
        return 1 << 31
    return max((descriptors - RESERVED) // PER_CLIENT, 1)
