"""All mutations."""

from typing import Final

from cogo_dagster_tests.mutations.mutation import Mutation
from cogo_dagster_tests.mutations.sql_functions import SQL_MUTATIONS
from cogo_dagster_tests.mutations.worker_lines import WORKER_MUTATIONS

MUTATIONS: Final[tuple[Mutation, ...]] = (*SQL_MUTATIONS, *WORKER_MUTATIONS)
