"""Templates can be reviewed: their lines are short."""

from importlib.resources import files

MOST_CHARS = 120


def test_no_line_of_a_template_is_longer_than_120_characters() -> None:
    """So that a change shows which element it changed."""
    templates = list(files("cogo_dagster.web").joinpath("templates").iterdir())
    long = [
        f"{entry.name}:{number}"
        for entry in templates
        for number, line in enumerate(entry.read_text().splitlines(), 1)
        if len(line) > MOST_CHARS
    ]
    assert templates
    assert long == []
