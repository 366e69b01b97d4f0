"""The first day of the partitions: COGO_FIRST_DAY, or the day on which the deployment was created.

The day is also kept in a file, for loads while the database is unreachable: partitions that begin on another day would
hide the history of the assets until the next load.
"""

import hashlib
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from cogo_dagster.bootstrap import read_first_day
from cogo_dagster.dagster_support.ticks import TickTooLong, within
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.settings import Settings, SettingsError

_READ_SECONDS: Final = 10.0


def first_day(settings: Settings) -> date:
    """Return the first day, from the settings, the database, or the file; today if there is none of them."""
    if settings.first_day is not None:
        return settings.first_day
    file = _file(settings)
    with suppress(QueueError, SettingsError, TickTooLong):
        found = within(_READ_SECONDS, "Reading the first day", lambda: read_first_day(settings))
        if found is not None:
            _keep(file, found)
            return found
    return _kept(file) or datetime.now(UTC).date()


def _file(settings: Settings) -> Path:
    """Return the file of the configured database, without its password."""
    url = settings.database_url
    database = url.get_secret_value() if url else settings.supabase_url or "embedded"
    mark = hashlib.sha256(database.encode()).hexdigest()[:12]
    return settings.home / "dagster" / f"first-day-{mark}"


def _keep(file: Path, day: date) -> None:
    with suppress(OSError):  # a read-only folder: the day is read again at the next load
        if _kept(file) != day:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{day:%Y-%m-%d}\n", encoding="utf-8")


def _kept(file: Path) -> date | None:
    try:
        return date.fromisoformat(file.read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return None
