"""Many objects that stay, made at once: Python would look for garbage among them again and again meanwhile, and later
on stop the event loop for half a second now and then to look through all of them."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """What is made within is never looked through; it is freed all the same when nobody refers to it any more."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
