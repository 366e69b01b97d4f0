"""All kinds of input, with how many of 100,000 cases are of each."""

from typing import Final

from cogo_dagster_tests.fuzz import commands, database, endings, functions, web
from cogo_dagster_tests.fuzz.trial import Kinds

KINDS: Final[Kinds] = {
    "endings of executors": (endings.outcomes, 16_000),
    "endings of executors in a worker": (endings.settled_endings, 6_000),
    "payloads": (functions.payloads, 16_000),
    "reports": (functions.reports, 14_000),
    "plans": (functions.plans, 8_000),
    "cursors": (functions.cursors, 6_000),
    "texts to decode and to redact": (functions.texts, 8_000),
    "searches": (database.searches, 4_000),
    "arguments of SQL functions": (database.arguments, 6_000),
    "rows by plain SQL": (database.rows, 4_000),
    "words on the command line": (commands.garbage, 1_500),
    "options of commands": (commands.options, 1_500),
    "payload and plan files": (commands.files, 1_000),
    "API, signed in": (web.signed_in, 3_000),
    "API, not signed in": (web.signed_out, 3_000),
    "dashboard": (web.pages, 2_000),
}
