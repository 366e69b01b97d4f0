"""The Korean pages have the structure, the commands and the settings of the English ones."""

import re
from pathlib import Path

import pytest

from cogo_dagster.settings import PROJECT_ROOT

TRANSLATIONS = {"README.ko.md": "README.md", "docs/operations.ko.md": "docs/operations.md"}

each_page = pytest.mark.parametrize("korean", TRANSLATIONS)


def pages(korean: str) -> tuple[str, str]:
    """Return the text of a translation and of its original."""
    return tuple((PROJECT_ROOT / name).read_text(encoding="utf-8") for name in (korean, TRANSLATIONS[korean]))  # type: ignore[return-value]


def code_blocks(text: str) -> list[str]:
    """Return the code blocks without comments, and no prose in blocks of plain text."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"\s*(?<!\S)# .*", "", code) for language, code in blocks if language != "text"]


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def headings(text: str) -> list[str]:
    """Return the levels of the headings, in order."""
    return re.findall(r"^(#+) ", prose(text), re.MULTILINE)


def code_spans(text: str) -> list[str]:
    """Return what is in code type outside of blocks, line by line, in any order within a line."""
    return sorted(re.findall(r"`([^`\n]+)`", prose(text)))


def table_rows(text: str) -> list[int]:
    """Return the number of cells of each row."""
    return [len(re.findall(r"(?<!\\)\|", line)) for line in prose(text).splitlines() if line.startswith("|")]


def links(text: str, page: str) -> list[str]:
    """Return the linked files, each by its English name; anchors of translated headings differ."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        name, _, anchor = link.partition("#")
        target = str((Path("/") / page).parent.joinpath(name)) if name else f"/{page}"
        english = re.sub(r"\.ko\.md$", ".md", target)
        translated = english.removeprefix("/") in TRANSLATIONS.values()
        found.append(english if translated or not anchor else f"{english}#{anchor}")
    return sorted(found)


@each_page
def test_the_headings_have_the_same_levels_in_the_same_order(korean: str) -> None:
    """No section is missing, added or moved."""
    translation, original = pages(korean)
    assert headings(translation) == headings(original)


@each_page
def test_the_code_blocks_are_the_same(korean: str) -> None:
    """Comments may be translated."""
    translation, original = pages(korean)
    assert code_blocks(translation) == code_blocks(original)


@each_page
def test_commands_and_settings_are_the_same(korean: str) -> None:
    """Everything in code type occurs as often as in the original."""
    translation, original = pages(korean)
    assert code_spans(translation) == code_spans(original)


@each_page
def test_the_tables_have_the_same_rows(korean: str) -> None:
    """With the same number of cells."""
    translation, original = pages(korean)
    assert table_rows(translation) == table_rows(original)


@each_page
def test_the_links_lead_to_the_same_pages(korean: str) -> None:
    """In the language of the page where there is a translation."""
    translation, original = pages(korean)
    assert links(translation, korean) == links(original, TRANSLATIONS[korean])


def test_a_missing_setting_and_a_changed_command_are_found() -> None:
    """The comparison does not accept every text."""
    original = "# A\n\nSet `COGO_HOME`.\n\n```bash\ncogo list jobs  # all\n```\n"
    assert code_spans(original.replace("`COGO_HOME`", "COGO_HOME")) != code_spans(original)
    assert code_blocks(original.replace("jobs", "dlq")) != code_blocks(original)
    assert code_blocks(original.replace("# all", "# 전체")) == code_blocks(original)
    assert headings(original.replace("# A", "## A", 1)) != headings(original)
