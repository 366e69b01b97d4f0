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
const place = (element) => element
    ? `${place(element.parentElement)}>${element.tagName}#${element.id}.${element.className}[${element.role}]` : "";
window.seen = JSON.parse(sessionStorage.getItem("seen") || "{}");
const here = {}, copies = [], checked = [];
for (const part of document.querySelectorAll(
    "main li, main tr, main dt, main dd, main svg *, header a, header button, footer a, footer button"
)) {
    const key = place(part.parentElement) + shape(part), before = here[key] || 0;
    here[key] = before + 1;
    if (before >= 2 && part.closest("main")) copies.push(part);
    else if (before + (seen[key] || 0) >= 2) checked.push(part);
}
copies.forEach((part) => part.remove());
for (const [key, count] of Object.entries(here)) seen[key] = (seen[key] || 0) + count;
window.checked = checked.filter((part) => part.isConnected);
null;
"""
"""Finds parts that differ from at least two in the same place before them in texts and values only: rows, and parts of
pictures, links and buttons. Those on the same page are removed, which axe-core would compare with each element; those
on other pages of the tab, which had no violation, are excluded."""

_KEEP_SEEN = "sessionStorage.setItem('seen', JSON.stringify(seen))"

_OPTIONS = "resultTypes: ['violations'], preload: false"
"""The style sheets need not be loaded again: only an experimental rule reads them."""

_ALL = f"{{{_OPTIONS}}}"
_COLORS = f"{{{_OPTIONS}, runOnly: ['color-contrast', 'link-in-text-block']}}"
_NAMES_AND_KEYS = f"{{{_OPTIONS}, runOnly: ['cat.name-role-value', 'cat.keyboard']}}"

_SIZES: tuple[tuple[int, int], ...] = ((360, 740), (820, 1100), (1280, 800))

_RUNS: tuple[tuple[tuple[int, int], Literal["light", "dark"], str], ...] = (
    (_SIZES[2], "light", _ALL),
    # Nothing but colours differs between the schemes.
    (_SIZES[2], "dark", _COLORS),
    # Each element of this width is shown at one of the others, in the same colours; it may have no text, or scroll.
    (_SIZES[1], "light", _NAMES_AND_KEYS),
    (_SIZES[0], "light", _ALL),
)


def axe_source() -> str:
    """Return the script that defines axe-core. As a context's initial script it is compiled once for many pages."""
    return (npm_package("axe-core") / "axe.min.js").read_text(encoding="utf-8") + _PARSE_COLORS_ONCE


def check_accessible(page: Page) -> None:
    """Check that axe-core finds no violation at every width nor in the dark scheme, and no width scrolls sideways."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe_source())
    for width, height in _SIZES:
        _resize(page, width, height)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
    page.evaluate(_REPEATED)
    for (width, height), scheme, options in _RUNS:
        _resize(page, width, height)
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate(f"axe.run({{ exclude: checked }}, {options}).then(({{ violations }}) => violations)")
        assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found] == [], (width, scheme)
    page.evaluate(_KEEP_SEEN)  # not before: a page with a violation is checked completely again


def _resize(page: Page, width: int, height: int) -> None:
    if page.viewport_size != {"width": width, "height": height}:
        page.set_viewport_size({"width": width, "height": height})
