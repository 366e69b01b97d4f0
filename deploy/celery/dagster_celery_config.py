"""Configuration of Celery workers: `dagster_celery.app` imports a module of this name from PYTHONPATH."""

import os

from cogo_dagster.settings import PROJECT_ROOT, load_settings

broker_url = os.environ["CELERY_BROKER_URL"]
# Of the result backends, only Redis keeps the states by which Dagster checks runs.
result_backend = os.environ["CELERY_RESULT_BACKEND"]
broker_connection_retry_on_startup = True
# A run is one task. A prefetched one would wait for the end of another run.
worker_prefetch_multiplier = 1

# The embedded database of this machine contains neither the runs nor the jobs of the machine that launches runs.
_settings = load_settings(PROJECT_ROOT / ".env")
if _settings.dagster_postgres_url is None or _settings.uses_embedded_database:
    raise SystemExit(
        "Celery workers execute runs of another machine: set COGO_DATABASE_URL (or SUPABASE_URL) and "
        "DAGSTER_POSTGRES_URL to the databases of that machine."
    )
