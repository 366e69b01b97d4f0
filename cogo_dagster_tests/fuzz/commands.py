"""Invalid words, files and variables for commands: each ends with an exit code and a message, and writes nothing."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final
from unittest import mock

import psycopg
from hypothesis import strategies as st

from cogo_dagster.cli.command import ExitCode
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import NewJob
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.cli.terminal import Answer, Terminal, terminal
from cogo_dagster_tests.fuzz.strategies import TEXTS, as_bytes, documents
from cogo_dagster_tests.fuzz.trial import Trial
from cogo_dagster_tests.rows import every_row
from docs.generate import commands

_NOT_TRIED: Final = {
    **dict.fromkeys(("dev", "web", "worker"), "runs until it is stopped"),
    **dict.fromkeys(("demo", "drill"), "starts its own server and workers"),
    **dict.fromkeys(("db start", "db stop", "db destroy", "db migrate", "db export-supabase"), "is about servers"),
    **dict.fromkeys(("alerts test", "alerts deliver", "router probe", "notify weekly", "doctor"), "calls other hosts"),
}
_WORDS: Final = (
    *("enqueue", "browser", "list", "jobs", "job", "show", "--json", "--payload", "retry", "failed", "--plan"),
    *("purge", "--older-than", "-1", "--limit", "replay", "dlq", "--since", "pause", "type", "stats", "gate"),
)
_WRITTEN: Final = TEXTS.filter(lambda text: "\x00" not in text)
_VALUES: Final = st.one_of(
    _WRITTEN,
    st.integers(-5, 10**12).map(str),
    st.sampled_from(("1h", "-1", "NaN", "inf", "browser", "true", "2026-W48", "[]", '{"url": "https://example.com"}')),
    st.uuids().map(str),
)


def garbage(trial: Trial) -> None:
    """Words in any order end with one of the exit codes, and without a traceback."""
    nowhere = terminal(trial.surroundings.folder, "postgresql://user@127.0.0.1:1/nothing", {})
    words = st.one_of(st.sampled_from(_WORDS), _WRITTEN)
    trial.each(st.lists(words, min_size=1, max_size=5), lambda line: _assert_ended(_run(nowhere, line, {})))


def options(trial: Trial) -> None:
    """Each command with generated values of its options and settings; a rejected one writes no row."""
    known = {name: command for name, command in commands().items() if name not in _NOT_TRIED}
    assert not _NOT_TRIED.keys() - commands().keys()
    cogo = terminal(trial.surroundings.folder, trial.surroundings.dsn, {})
    variables = ("COGO_POOL_SIZE", "WORKER_ID", "DRY_RUN", "JOB_TYPE", "COGO_GATE_COMMANDS", "LOG_LEVEL")
    settings = st.dictionaries(st.sampled_from(variables), _VALUES, max_size=1)
    with _filled(trial.surroundings.dsn) as owner:

        def check(case: tuple[list[str], dict[str, str]]) -> None:
            line, environment = case
            before = every_row(owner)
            answer = _run(cogo, line, environment)
            _assert_ended(answer)
            assert answer.code == 0 or every_row(owner) == before, (line, answer)

        lines = st.sampled_from(sorted(known)).flatmap(lambda name: _line(name, known[name]))
        trial.each(st.tuples(lines, settings), check)


def files(trial: Trial) -> None:
    """Payload and plan files with any content are accepted or rejected; a rejected one writes no row."""
    folder = trial.surroundings.folder
    path = folder / "given.json"
    cogo = terminal(folder, trial.surroundings.dsn, {})
    plan = {"format": "cogo plan 1", "operation": "purge_jobs", "arguments": {}, "items": []}
    lines: tuple[tuple[str, ...], ...] = (
        ("enqueue", "browser", "--payload", f"@{path}"),
        ("enqueue", "idempotent", "--payload", f"@{path}"),
        *((*words, "--apply", str(path)) for words in (("purge", "jobs"), ("retry", "failed"), ("replay", "dlq"))),
    )
    with _filled(trial.surroundings.dsn) as owner:

        def check(case: tuple[tuple[str, ...], bytes]) -> None:
            line, content = case
            path.write_bytes(content)
            before = every_row(owner)
            answer = _run(cogo, line, {})
            _assert_ended(answer)
            assert answer.code == 0 or every_row(owner) == before, (line, answer)

        keys = st.sampled_from((*plan, "made_at", "made_by", "deployment_id"))
        damaged = st.dictionaries(keys, documents(), max_size=3).map(lambda change: as_bytes(plan | change))
        contents = st.one_of(st.binary(max_size=200), documents().map(as_bytes), damaged)
        trial.each(st.tuples(st.sampled_from(lines), contents), check)


def _line(name: str, command: Any) -> st.SearchStrategy[list[str]]:
    """Return the command's words with generated values of some of its options and arguments."""
    parts: list[st.SearchStrategy[list[str]]] = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            parts.append(_VALUES.map(lambda value: ["--", value] if value.startswith("-") else [value]))
        elif parameter.name != "help":
            option, flag = parameter.opts[0], getattr(parameter, "is_flag", False)
            # The path of a plan is an argument.
            values = st.sampled_from(("plan.json", "")) if option in ("--plan", "--output") else _VALUES
            given = st.tuples(st.just(option)) if flag else st.tuples(st.just(option), values)
            parts.append(st.one_of(st.just([]), given.map(list)))
    return st.tuples(*parts).map(lambda found: [*name.split(), *(word for part in found for word in part)])


def _run(cogo: Terminal, words: Sequence[str], environment: Mapping[str, str]) -> Answer:
    """Run the command with an empty standard input, so that a prompt ends."""
    with mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(b""))):
        return cogo.run(*words, **environment)


def _assert_ended(answer: Answer) -> None:
    assert answer.code in set(ExitCode), answer
    assert "Traceback" not in answer.out + answer.err, answer


def _filled(dsn: str) -> "psycopg.Connection[Any]":
    transport = PostgresTransport(dsn, role="service_role")
    Queue(transport).enqueue([NewJob("browser", {"url": "https://example.com/"})] * 3)
    transport.close()
    return psycopg.connect(dsn, autocommit=True)
