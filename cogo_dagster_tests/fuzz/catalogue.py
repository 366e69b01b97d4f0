"""All kinds of input, with their share of 100,000 cases."""

from typing import Final

from cogo_dagster_tests.fuzz import commands, database, endings, functions, web
from cogo_dagster_tests.fuzz.trial import Kinds, Trial


def _signed_in(trial: Trial) -> None:
    from cogo_dagster_tests.fuzz import api  # noqa: PLC0415 - importing schemathesis takes 0.7 s, in every test process

    api.signed_in(trial)


def _signed_out(trial: Trial) -> None:
    from cogo_dagster_tests.fuzz import api  # noqa: PLC0415 - as above

    api.signed_out(trial)


KINDS: Final[Kinds] = {
    "outcomes of executors": (endings.outcomes, 16_000),
    "outcomes of executors in a worker": (endings.settled_endings, 4_000),
    "payloads": (functions.payloads, 14_000),
    "reports": (functions.reports, 16_000),
    "plans": (functions.plans, 12_000),
    "cursors": (functions.cursors, 12_000),
    "texts to decode and to redact": (functions.texts, 11_000),
    "searches": (database.searches, 3_000),
    "arguments of SQL functions": (database.arguments, 4_000),
    "rows by plain SQL": (database.rows, 2_000),
    "arguments of the command line": (commands.garbage, 500),
    "options of commands": (commands.options, 1_000),
    "payload and plan files": (commands.files, 500),
    "API, signed in": (_signed_in, 1_500),
    "API, not signed in": (_signed_out, 1_500),
    "dashboard": (web.pages, 1_000),
}
