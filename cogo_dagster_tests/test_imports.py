"""The import of many modules at the start of a process."""

import contextlib
import gc

import pytest

from cogo_dagster.imports import quick_imports


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_is_off_only_during_the_imports(enabled: bool) -> None:
    """Afterwards it is as before, also if a module cannot be imported."""
    try:
        (gc.enable if enabled else gc.disable)()
        seen = []
        with contextlib.suppress(ImportError), quick_imports():
            seen.append(gc.isenabled())
            raise ImportError
        assert [*seen, gc.isenabled()] == [False, enabled]
    finally:
        gc.enable()
