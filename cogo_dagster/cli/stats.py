"""`cogo stats`: counts of the queue."""

from datetime import UTC, datetime

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.command import Report, command
from cogo_dagster.cli.tables import print_facts
from cogo_dagster.formatting.explanation import queue_line
from cogo_dagster.formatting.values import at_least, counted, span
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.stats import Numbers, QueueReasons


@command()
def stats(application: Application) -> Report:
    """Show counts of queued, running, failed and dead-lettered jobs, lease losses and workers, and why jobs wait."""
    numbers, reasons = application.stats.numbers(), application.stats.reasons()
    document = numbers.model_dump() | {
        "reasons": [one.document for one in reasons.reasons],
        "stranded": reasons.stranded,
    }
    return Report(document, lambda: print_facts(_facts(numbers, reasons)))


def _facts(numbers: Numbers, reasons: QueueReasons) -> dict[str, Json]:
    waiting = f", the oldest for {span(numbers.oldest_ready_seconds)}" if numbers.ready else ""
    queued = at_least(numbers.queued, more=numbers.has_more_queued)
    ready = at_least(numbers.ready, more=numbers.has_more_ready)
    return {
        "queued": f"{queued} ({ready} due{waiting})",
        "running": f"{numbers.running:,} of {counted(numbers.slots_alive, 'slot')}",
        "succeeded in 24 h": f"{numbers.succeeded_24h:,}",
        "failed in 24 h, not retried": f"{numbers.failed_24h:,}",
        "dead-lettered": f"{numbers.dlq_open:,}",
        "lease losses in 24 h": f"{numbers.lease_losses_24h:,}",
        "expired leases": f"{numbers.expired_leases:,}",
        "paused": f"{numbers.paused:,}",
        "workers alive": f"{numbers.workers_alive:,}",
        **({"queued jobs": "\n".join(_reason_lines(reasons))} if reasons.reasons else {}),
    }


def _reason_lines(found: QueueReasons) -> list[str]:
    lines = [queue_line(one, datetime.now(UTC)) for one in found.reasons]
    return [*lines, f"{found.left_out:,} more reasons"] if found.left_out else lines
