"""SARIF 2.1.0 reports."""

from pathlib import Path
from typing import Final

from cogo_dagster.quality.reports.files import check_count
from cogo_dagster.queue.model import Json

_LEVELS: Final = ("error", "warning")


def read_sarif(path: Path, document: dict[str, Json]) -> tuple[int, int]:
    """Return the number of errors and warnings, without suppressed findings.

    Raises:
        ReportError: A count is too large.
    """
    levels: list[str] = []
    for run in _objects(document["runs"]):
        rules = _rule_levels(run)
        levels += [_level(result, rules) for result in _objects(run.get("results")) if _counts(result)]
        # A file that the linter could not parse has a notification instead of a finding.
        levels += [
            "error"
            for invocation in _objects(run.get("invocations"))
            for kind in ("toolExecutionNotifications", "toolConfigurationNotifications")
            for notice in _objects(invocation.get(kind))
            if notice.get("level") == "error"
        ]
    errors, warnings = (levels.count(level) for level in _LEVELS)
    return check_count(path, errors, "errors"), check_count(path, warnings, "warnings")


def _counts(result: dict[str, Json]) -> bool:
    suppressions = _objects(result.get("suppressions"))
    suppressed = any(suppression.get("status", "accepted") == "accepted" for suppression in suppressions)
    return result.get("kind", "fail") == "fail" and not suppressed and result.get("baselineState") != "absent"


def _level(result: dict[str, Json], rules: dict[Json, str]) -> str:
    rule = result.get("rule")
    name = result.get("ruleId") or (rule.get("id") if isinstance(rule, dict) else None)
    found = result.get("level") or rules.get(str(name)) or rules.get(result.get("ruleIndex", -1), "warning")
    return str(found)


def _rule_levels(run: dict[str, Json]) -> dict[Json, str]:
    """Return the default level of each rule, by id and by index."""
    tool = run.get("tool")
    driver = tool.get("driver") if isinstance(tool, dict) else None
    found: dict[Json, str] = {}
    for number, rule in enumerate(_objects(driver.get("rules") if isinstance(driver, dict) else None)):
        configured = rule.get("defaultConfiguration")
        level = configured.get("level") if isinstance(configured, dict) else None
        if isinstance(level, str):
            found |= {str(rule.get("id")): level, number: level}
    return found


def _objects(value: Json) -> list[dict[str, Json]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
