"""`cogo stats`: the queue in numbers, the same ones as on the dashboard."""

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.tables import print_facts
from cogo_dagster.formatting.values import span
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.stats import Numbers


def stats(*, as_json: JsonFlag = False) -> None:
    """Show the queue in numbers: what waits, runs, failed, was lost, and who is there to work."""
    with open_application(read_settings()) as application:
        numbers = application.stats.numbers()
    if as_json:
        print_json(numbers.model_dump() | {"queued": numbers.queued})
    else:
        print_facts(_facts(numbers))


def _facts(numbers: Numbers) -> dict[str, Json]:
    waits = f", the oldest for {span(numbers.oldest_ready_seconds)}" if numbers.ready else ""
    return {
        "queued": f"{numbers.queued:,} ({numbers.ready:,} due{waits})",
        "running": f"{numbers.running:,} of {numbers.slots_alive:,} slots",
        "succeeded in 24 h": f"{numbers.succeeded_24h:,}",
        "jobs failed in 24 h, and not retried": f"{numbers.failed_24h:,}",
        "dead letters": f"{numbers.dlq_open:,}",
        "lease losses in 24 h": f"{numbers.lease_losses_24h:,}",
        "expired leases": f"{numbers.expired_leases:,}",
        "paused": f"{numbers.paused:,}",
        "workers alive": f"{numbers.workers_alive:,}",
    }
