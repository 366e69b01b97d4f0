"""Checks of the template files."""

from importlib.resources import files

MAX_CHARS = 120


def test_no_line_of_a_template_is_longer_than_120_characters() -> None:
    """Short lines keep the diffs of templates readable."""
    templates = list(files("cogo_dagster.web").joinpath("templates").iterdir())
    long = [
        f"{entry.name}:{number}"
        for entry in templates
        for number, line in enumerate(entry.read_text().splitlines(), 1)
        if len(line) > MAX_CHARS
    ]
    assert templates
    assert long == []
