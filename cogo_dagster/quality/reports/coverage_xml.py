"""Coverage reports in XML: Cobertura, Clover, JaCoCo."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from cogo_dagster.quality.reports.counts import Counts, Coverage
from cogo_dagster.quality.reports.files import check_percentage, count_in, events, number_of, other_format

_CONDITIONS: Final = re.compile(r"\((\d{1,9})/(\d{1,9})\)", re.ASCII)
Events = Iterator[tuple[str, Element, int]]


def read_xml(path: Path, text: str) -> Coverage:
    """Return the counts of a report, or the line rate of a Cobertura report without counts.

    Raises:
        ReportError: The text is another kind of XML, or incomplete.
    """
    tag, attributes, child = _root(path, text)
    if tag == "report":
        return _jacoco(events(path, text, "none"))
    if tag != "coverage":
        raise other_format(
            path, f"is XML with the root <{tag[:40]}>, not <coverage> (Cobertura, Clover) or <report> (JaCoCo)"
        )
    if child in ("project", "testproject") or ("clover" in attributes and "line-rate" not in attributes):
        return _clover(events(path, text, "none"))
    return _cobertura(path, attributes, events(path, text, "none"))


def _root(path: Path, text: str) -> tuple[str, Mapping[str, str], str]:
    """Return the name and attributes of the root, and the name of its first child."""
    tag, attributes = "", {}
    for event, element, depth in events(path, text, "none"):
        if event == "start" and depth == 1:
            tag, attributes = str(element.tag), dict(element.attrib)
        elif event == "start":
            return tag, attributes, str(element.tag)
    return tag, attributes, ""


def _cobertura(path: Path, root: Mapping[str, str], found: Events) -> Coverage:
    lines, branches = _counts(root, "lines-covered", "lines-valid"), _counts(root, "branches-covered", "branches-valid")
    counted, conditions, has_classes = _cobertura_lines(found)
    lines = lines or (counted if counted.valid else None)
    branches = branches or conditions
    if lines is not None:
        return Coverage(lines, branches)
    rate = number_of(root.get("line-rate"))
    if rate in (0, 1) and not has_classes:
        return Coverage()  # tools write this if nothing was measured
    return Coverage(None, None, check_percentage(path, None if rate is None else rate * 100))


def _cobertura_lines(found: Events) -> tuple[Counts, Counts, bool]:
    """Return the counts of the <line> elements, each line of a file once, and whether there is any class."""
    lines: dict[tuple[str, str], bool] = {}
    conditions: dict[tuple[str, str], tuple[int, int]] = {}
    file, has_classes = "", False
    for event, element, _ in found:
        if event == "start" and element.tag == "class":
            file, has_classes = element.get("filename") or element.get("name") or "", True
        elif event == "end" and element.tag == "line" and element.get("number"):
            key = file, element.get("number") or ""
            lines[key] = lines.get(key, False) or (number_of(element.get("hits")) or 0) > 0
            if ratio := _CONDITIONS.search(element.get("condition-coverage") or ""):
                conditions[key] = max(conditions.get(key, (0, 0)), (int(ratio[1]), int(ratio[2])))
    branches = Counts(sum(taken for taken, _ in conditions.values()), sum(total for _, total in conditions.values()))
    return Counts(sum(lines.values()), len(lines)), branches, has_classes


def _clover(found: Events) -> Coverage:
    """Return the sum over projects, or over files if there are none."""
    by_level: dict[str, list[Mapping[str, str]]] = {"project": [], "file": []}
    parents: list[str] = []
    for event, element, _ in found:
        if event == "start":
            parents.append(str(element.tag))
            continue
        parents.pop()
        if element.tag == "metrics" and "testproject" not in parents and parents[-1] in by_level:
            by_level[parents[-1]].append(dict(element.attrib))
    metrics = by_level["project"] or by_level["file"]
    return Coverage(
        _sum(metrics, lambda row: _counts(row, "coveredstatements", "statements")),
        _sum(metrics, lambda row: _counts(row, "coveredconditionals", "conditionals")),
    )


def _jacoco(found: Events) -> Coverage:
    """Return the counters of the report, or of its groups or packages."""
    by_depth: dict[int, list[Mapping[str, str]]] = {}
    for event, element, depth in found:
        if event == "end" and element.tag == "counter":
            by_depth.setdefault(depth, []).append(dict(element.attrib))
    counters = by_depth[min(by_depth)] if by_depth else []
    return Coverage(
        _sum(counters, lambda row: _missed(row, "LINE")), _sum(counters, lambda row: _missed(row, "BRANCH"))
    )


def _missed(counter: Mapping[str, str], kind: str) -> Counts | None:
    missed, covered = count_in(counter.get("missed")), count_in(counter.get("covered"))
    if counter.get("type") != kind or missed is None or covered is None:
        return None
    return Counts(covered, missed + covered)


def _counts(numbers: Mapping[str, str], covered: str, valid: str) -> Counts | None:
    part, total = count_in(numbers.get(covered)), count_in(numbers.get(valid))
    return None if part is None or total is None else Counts(part, total)


def _sum(rows: list[Mapping[str, str]], counts: Callable[[Mapping[str, str]], Counts | None]) -> Counts:
    known = [count for row in rows if (count := counts(row))]
    return Counts(sum(count.covered for count in known), sum(count.valid for count in known))
