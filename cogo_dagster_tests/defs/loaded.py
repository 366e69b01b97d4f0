"""The project's definitions, loaded once per process, with partitions from the beginning of 2026."""

import os
from unittest import mock

from cogo_dagster.definitions import defs as load

with mock.patch.dict(os.environ, {"COGO_FIRST_DAY": "2026-01-01"}):
    defs = load()
