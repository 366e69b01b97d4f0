"""The import of many modules at the start of a process."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import modules without garbage collection, which frees nothing then and takes a tenth of the time of a start.

    httpx imports its own command line if it can, with rich and pygments: a tenth of the time of a worker's start.
    """
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
