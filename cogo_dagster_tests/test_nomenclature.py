"""The check of the words that `docs/nomenclature.md` rejects."""

import subprocess
from pathlib import Path

import pytest

from cogo_dagster_tests import nomenclature

PAGE = """# Nomenclature

| Term | Definition | Do not write |
|---|---|---|
| pear | A fruit, see `tree`. | `quux`, `long quux`, plum |
| peach | A fruit. | |
"""


def words_in(line: str) -> list[str]:
    """Return the rejected words of a line."""
    pattern = nomenclature.pattern_of(nomenclature.rejected_words(PAGE))
    return [finding.word for finding in nomenclature.findings_in("a.py", line, pattern)]


def test_only_code_type_in_the_last_column_is_rejected() -> None:
    """Words in plain type and terms of the other columns are accepted."""
    assert nomenclature.rejected_words(PAGE) == ["quux", "long quux"]


def test_each_rejected_word_is_reported_with_its_line() -> None:
    """A finding has the path, the line number, the word as written and the line."""
    pattern = nomenclature.pattern_of(["quux"])
    found = list(nomenclature.findings_in("a.md", "one\n  two Quux, three quux\n", pattern))
    assert [finding[:3] for finding in found] == [("a.md", 2, "Quux"), ("a.md", 2, "quux")]
    assert found[0].text == "two Quux, three quux"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a quux.", ["quux"]),
        ("QUUX = 1", ["QUUX"]),
        ("def is_quux_2(self)", ["quux"]),
        ("quux2", ["quux"]),
        ("a long quux", ["long quux"]),
        ("long_quux", ["long quux".replace(" ", "_")]),
        ("long  quux", ["long  quux"]),
        ('"Quux is here"', ["Quux"]),
        ("quuxes", []),
        ("unquux", []),
        ("plum", []),
        ("`quux`", []),
        ('{"quux": 1}', []),
        ("'quux", ["quux"]),
    ],
)
def test_a_word_ends_where_its_letters_end(line: str, expected: list[str]) -> None:
    """Parts of longer words and quoted values are accepted; parts of identifiers are not."""
    assert words_in(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("select public.promote_alerts('[]')", []),
        ("row.promoted_seconds_ago", []),
        ("record_outage.told ? t.target", []),
        ("promote_letters, promoted", ["promote", "promoted"]),
        ("told", ["told"]),
    ],
)
def test_names_in_the_database_are_accepted(line: str, expected: list[str]) -> None:
    """A rejected word in a name that cannot change is accepted; other uses of the word are not."""
    pattern = nomenclature.pattern_of(["promote", "promoted", "told"])
    assert [finding.word for finding in nomenclature.findings_in("a.sql", line, pattern)] == expected


def test_tracked_text_files_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Released migrations, the page itself, untracked and binary files are left out; the exit code is 1."""
    for name, text in {
        "docs/nomenclature.md": PAGE,
        "sql/migrations/1_first.sql": "-- quux",
        "a.py": "x = 1\n# quux\n",
        "b.md": "Nothing.",
        "picture.png": "quux",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    (tmp_path / "untracked.py").write_text("# quux\n")
    monkeypatch.setattr(nomenclature, "ROOT", tmp_path)

    assert nomenclature.main([]) == 1
    assert capsys.readouterr().out == "a.py:2: quux: # quux\n"
    assert nomenclature.main(["b.md"]) == 0


def test_the_project_uses_no_rejected_word() -> None:
    """Every finding names a file and a line to correct."""
    assert [f"{path}:{line}: {word}" for path, line, word, _ in nomenclature.find([])] == []
