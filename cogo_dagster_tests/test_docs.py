"""The documentation matches the code: generated pages are current, links and commands exist, code blocks parse."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogo_dagster import open_queue
from cogo_dagster.executors.browser import errors as browser_errors
from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.migrate import schema_objects
from cogo_dagster.settings import PROJECT_ROOT, Settings
from docs import generate, sql_functions

PAGES = sorted(
    [
        *PROJECT_ROOT.glob("*.md"),
        *(PROJECT_ROOT / ".github").glob("*.md"),
        *(PROJECT_ROOT / "docs").rglob("*.md"),
    ]
)
ADRS = sorted((PROJECT_ROOT / "docs" / "adr").glob("[0-9]*.md"))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))


def test_the_generated_pages_are_current() -> None:
    """An outdated page or module fails; `uv run python -m docs.generate` updates it."""
    for path, text in (generate.pages() | generate.modules()).items():
        assert path.read_text(encoding="utf-8") == text, path.name


def test_every_setting_is_documented() -> None:
    """.env.example describes exactly the settings that are read."""
    described = {setting.name for setting in generate.settings() if setting.meaning}
    assert described == {field.alias for field in Settings.model_fields.values()}


ONE_ROW_FOR_EACH_THING = frozenset(
    {
        "access_tokens",
        "alert_cursors",
        "alert_targets",
        "artifact_stores",
        "deadman",
        "deployment",
        "ended_worker_totals",
        "job_period_marks",
        "paused",
        "provider_health",
        "providers",
        "rate_limits",
        "secrets",
        "watched_conditions",
        "watched_schedules",
    }
)
"""Tables that do not grow with jobs, workers or time."""


def test_every_table_that_grows_is_in_the_retention_table() -> None:
    """Each has a retention period, or is listed as kept without limit; each row has one setting with its default."""
    text = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = text.partition("\n### Retention\n")[2].partition("\n### ")[0]
    assert set(schema_objects().tables) - set(re.findall(r"`(\w+)`", section)) == ONE_ROW_FOR_EACH_THING
    named = re.findall(r"^\|.*\| `(\w+)`(?: \((\d+)\))? \|.*\|$", section, re.MULTILINE)
    assert len(named) == len(re.findall(r"^\| (?!what \|)", section, re.MULTILINE))
    known = {
        field.alias: "" if field.default is None else f"{field.default:g}"
        for field in Settings.model_fields.values()
        if field.alias and re.search(r"_TTL_(DAYS|HOURS)$", field.alias)
    }
    assert Counter(named) == Counter({**known, "JOB_TTL_DAYS": "30", "ARTIFACT_TTL_DAYS": "30"}.items())


def test_every_sql_function_is_documented() -> None:
    """The page has a heading and a description for each public function."""
    text = (generate.FOLDER / "sql-functions.md").read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if f"### {name}\n" not in text] == []
    assert [function.name for function in sql_functions.functions() if not function.header] == []


def test_every_class_of_browser_error_is_documented() -> None:
    """operations.md has a remedy for every error class of a failed browser job."""
    text = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    classes = {error_class for _, error_class, _, _ in browser_errors._RULES} | {"http_status", "browser_error"}
    assert [name for name in sorted(classes) if f"`{name}`" not in text] == []


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    """The index has a line for each decision, and numbers are unique."""
    index = (PROJECT_ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    assert [int(adr.name[:4]) for adr in ADRS] == list(range(1, len(ADRS) + 1))
    assert [adr.name for adr in ADRS if f"({adr.name})" not in index] == []


@pytest.mark.parametrize("adr", ADRS, ids=lambda adr: adr.stem)
def test_a_decision_is_short(adr: Path) -> None:
    """A decision has at most 60 lines for context, decision and consequences."""
    assert len(adr.read_text(encoding="utf-8").splitlines()) <= 60


@each_page
def test_links_resolve(page: Path) -> None:
    """Every link between pages has an existing file and heading."""
    assert [link for link in _links(page) if not _leads_somewhere(page, link)] == []


@each_page
def test_shown_commands_exist(page: Path) -> None:
    """Every `cogo` command in a code block has existing subcommands and options."""
    assert [wrong for line in _shown_commands(page) if (wrong := _wrong_with(line))] == []


@each_page
def test_code_blocks_parse(page: Path) -> None:
    """Python compiles, and bash accepts the syntax of its blocks."""
    text = page.read_text(encoding="utf-8")
    for block in _blocks(text, "python"):
        ast.parse(block)
    for block in _blocks(text, "bash"):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Links and anchors are checked, and the search index contains every page of the navigation."""
    shutil.copy(PROJECT_ROOT / "zensical.toml", tmp_path)
    shutil.copytree(PROJECT_ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    index = (tmp_path / "site" / "search.json").read_text(encoding="utf-8")
    assert [page for page in _navigation() if f'"{_address(page)}"' not in index] == []


def test_every_page_is_in_the_navigation() -> None:
    """Decisions are reached from their index."""
    pages = {str(page.relative_to(PROJECT_ROOT / "docs")) for page in (PROJECT_ROOT / "docs").rglob("*.md")}
    decisions = {f"adr/{adr.name}" for adr in ADRS}
    assert sorted(_navigation()) == sorted(pages - decisions)


def test_pages_of_the_site_link_to_pages_of_the_site() -> None:
    """A link to a file outside of docs would lead nowhere on the site."""
    pages = [page for page in PAGES if page.is_relative_to(PROJECT_ROOT / "docs")]
    folder = PROJECT_ROOT / "docs"
    outside = [
        f"{page.name}: {link}"
        for page in pages
        for link in _links(page)
        if not (page.parent / link.partition("#")[0]).resolve().is_relative_to(folder)
    ]
    assert outside == []


def test_the_readme_begins_with_a_command() -> None:
    """The first code block is within the first 25 lines, and the whole fits on two screens."""
    lines = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert next(number for number, line in enumerate(lines, 1) if line.startswith("```")) <= 25
    assert 90 <= len(lines) <= 150


def test_the_readmes_python_example_enqueues_a_job(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three lines are executed unchanged."""
    text = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    [example] = _blocks(text, "python")
    assert len([line for line in example.splitlines() if line]) == 3
    monkeypatch.setenv("COGO_DATABASE_URL", dsn)
    exec(compile(example, "README.md", "exec"), {})
    with open_queue() as queue:
        [row] = queue.list_jobs()
    assert (row.document["type"], row.document["status"]) == ("browser", "queued")


def test_the_pages_are_found() -> None:
    """The tests above cover existing pages."""
    names = {str(page.relative_to(PROJECT_ROOT)) for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/adr/README.md"} <= names
    assert sum(len(list(_shown_commands(page))) for page in PAGES) > 15


def _navigation() -> list[str]:
    config = tomllib.loads((PROJECT_ROOT / "zensical.toml").read_text(encoding="utf-8"))
    return re.findall(r"'([\w./-]+\.md)'", str(config["project"]["nav"]))


def _address(page: str) -> str:
    return re.sub(r"(^|/)(index|README)/$", r"\1", page.removesuffix(".md") + "/")


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def _links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", _prose(page)))
    # GitHub resolves `../../actions/` from a file to the repository's workflows.
    return [link for link in found if not re.match(r"https?://|mailto:|\.\./\.\./actions/", link)]


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _shown_commands(page: Path) -> Iterator[str]:
    for block in _blocks(page.read_text(encoding="utf-8"), "(?:bash|console)"):
        # A quoted argument may span several lines; its content is not checked here.
        plain = re.sub(r"'[^']*'", "ARGUMENT", block.replace("\\\n", " "))
        yield from re.findall(r"(?:^|[ ;&])cogo ((?:[a-z]|--)[^|;&>#\n]*)", plain, re.MULTILINE)


def _wrong_with(line: str) -> str | None:
    words = shlex.split(line)
    commands = generate.commands()
    name = next((" ".join(words[:length]) for length in (3, 2, 1) if " ".join(words[:length]) in commands), None)
    if name is None:
        return None if words == ["--help"] else f"There is no command `cogo {line}`."
    known = {
        option for parameter in commands[name].params for option in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}
    unknown = [word for word in words if word.startswith("--") and word not in known]
    return f"`cogo {name}` has no {', '.join(unknown)}." if unknown else None


def test_every_invariant_names_tests_that_exist() -> None:
    """I1 to I14 each name an existing file or test function."""
    page = (PROJECT_ROOT / "docs" / "job-lifecycle.md").read_text()
    rows = re.findall(r"^\| (I\d+) \| [^|]+ \| (.+) \|$", page, re.MULTILINE)
    assert [number for number, _ in rows] == [f"I{number}" for number in range(1, 15)]
    for number, cell in rows:
        named = re.findall(r"`([\w/]*(?:\.py)?)(?:::(\w+))?`", cell)
        assert named, number
        path = ""
        for given, function in named:
            path = given or path
            text = (PROJECT_ROOT / "cogo_dagster_tests" / path).read_text()
            assert not function or f"def {function}(" in text, f"{number}: {path}::{function}"
