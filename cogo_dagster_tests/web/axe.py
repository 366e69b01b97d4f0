"""Checks pages with axe-core."""

from typing import Literal

from playwright.sync_api import Page

from cogo_dagster_tests.npm import npm_package

_PARSE_COLORS_ONCE = """
const { prototype } = axe.commons.color.Color, { parseString } = prototype, known = new Map();
prototype.parseString = function (text) {
    if (!known.has(text)) {
        const { r, g, b, alpha } = parseString.call(this, text);
        known.set(text, { r, g, b, alpha });
    }
    return Object.assign(this, known.get(text));
};
null;
"""
"""axe parses the colours of each element and of all elements behind it: a third of the time of a run."""

_REPEATED = """
const shape = (element) => element.tagName + [...element.attributes].map(({ name, value }) =>
    `[${name}${["class", "role", "type"].includes(name) ? "=" + value : Boolean(value.trim())}]`).join("")
    + `(${[...element.childNodes].map((one) => one.tagName ? shape(one) : Boolean(one.data.trim())).join()})`;
const seen = new Map();
window.repeated = [...document.querySelectorAll("main li, main tr")].filter((row) => {
    const key = shape(row.parentElement.cloneNode(false)) + shape(row), before = seen.get(key) || 0;
    seen.set(key, before + 1);
    return before >= 2;
});
null;
"""
"""Rows of a list or a table that differ from at least two rows before them in texts and values only."""

_OPTIONS = "resultTypes: ['violations'], preload: false"
"""The style sheets need not be loaded again: only an experimental rule reads them."""

_ALL = f"{{{_OPTIONS}}}"
_COLORS = f"{{{_OPTIONS}, runOnly: ['color-contrast', 'link-in-text-block']}}"
_NAMES_AND_KEYS = f"{{{_OPTIONS}, runOnly: ['cat.name-role-value', 'cat.keyboard']}}"

_RUNS: tuple[tuple[tuple[int, int], Literal["light", "dark"], str], ...] = (
    ((1280, 800), "light", _ALL),
    # Nothing but colours differs between the schemes.
    ((1280, 800), "dark", _COLORS),
    # Each element of this width is shown at one of the others, in the same colours; it may have no text, or scroll.
    ((820, 1100), "light", _NAMES_AND_KEYS),
    ((360, 740), "light", _ALL),
)


def axe_source() -> str:
    """Return the script that defines axe-core. As a context's initial script it is compiled once for many pages."""
    return (npm_package("axe-core") / "axe.min.js").read_text(encoding="utf-8") + _PARSE_COLORS_ONCE


def check_accessible(page: Page) -> None:
    """Check that axe-core finds no violation at every width nor in the dark scheme, and no width scrolls sideways."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe_source())
    page.evaluate(_REPEATED)
    for (width, height), scheme, options in _RUNS:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
        found = page.evaluate(f"axe.run({{ exclude: repeated }}, {options}).then(({{ violations }}) => violations)")
        assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found] == [], (width, scheme)
