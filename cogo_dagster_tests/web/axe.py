"""Checks pages with axe-core."""

from typing import Literal

from playwright.sync_api import Page

from cogo_dagster_tests.npm import npm_package

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = ((1280, 800), (820, 1100), (360, 740))

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

_RUNS = {
    # The style sheets need not be loaded again: only an experimental rule reads them.
    "light": "axe.run({resultTypes: ['violations'], preload: false})",
    # The rules for colours: nothing else differs between the schemes.
    "dark": "axe.run({resultTypes: ['violations'], preload: false, runOnly: ['color-contrast', 'link-in-text-block']})",
}


def check_accessible(page: Page) -> None:
    """Check that axe-core finds no violation at every width nor in the dark scheme, and no width scrolls sideways."""
    page.evaluate((npm_package("axe-core") / "axe.min.js").read_text(encoding="utf-8") + _PARSE_COLORS_ONCE)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES if width == SIZES[0][0] else SCHEMES[:1]:  # colours do not depend on the width
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, width
            found = page.evaluate(f"{_RUNS[scheme]}.then(({{ violations }}) => violations)")
            assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found] == [], (width, scheme)
