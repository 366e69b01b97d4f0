"""The state of a page is read in its own world, where the page can change what is returned."""

from typing import Any

import pytest

from cogo_dagster.executors.browser import page_state
from cogo_dagster.executors.browser.fonts import RANGES, SCRIPTS
from cogo_dagster.executors.browser.page_state import PageState, parsed
from cogo_dagster.formatting.browser_evidence import FailedRequest
from cogo_dagster_tests.executors.bench import Bench

SOUND = {
    "title": "T",
    "status": 200,
    "size": [300, 20_000.5],
    "settled": True,
    "errors": [["/x", 404]],
    "boxed": "Han,Hangul",
}


def test_a_sound_state_is_taken() -> None:
    """All values of an ordinary page are taken."""
    errors = (FailedRequest(url="/x", reason="HTTP status 404"),)
    assert parsed(SOUND, ("Han", "Latin")) == PageState("T", 200, 300, 20_000, True, errors, ("Han",))


@pytest.mark.parametrize("found", [None, 1, "x", [], {}, {"title": 1, "size": [1], "errors": [[1]], "boxed": 7}])
def test_anything_else_is_unknown(found: Any) -> None:
    """Values of other types are left out."""
    assert parsed(found, ("Han",)) == PageState()


@pytest.mark.parametrize("size", [[0, 0], [-1, 5], [1e300, 5], [float("inf"), 5], ["1", "2"], [5, None]])
def test_an_impossible_size_is_unknown(size: list[Any]) -> None:
    """A size that no page has is unknown, so that the browser decides what it captures."""
    assert (parsed(SOUND | {"size": size}, ()).width, parsed(SOUND | {"size": size}, ()).height) == (0, 0)


def test_lists_and_texts_are_bounded() -> None:
    """At most twenty errors with 300 characters each are kept, and only scripts that were asked for."""
    state = parsed(SOUND | {"errors": [["u" * 999, 500]] * 99, "boxed": "Han,other", "status": 7}, ("Han",))
    assert [len(error.url) for error in state.errors] == [300] * 20
    assert (state.boxed, state.status) == (("Han",), None)


def test_a_long_title_is_cut_in_the_page(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A title of several megabytes is not transferred."""
    titles: list[str] = []

    def noted(found: Any, without_glyphs: tuple[str, ...]) -> PageState:
        titles.append(found["title"])
        return parsed(found, without_glyphs)

    monkeypatch.setattr(page_state, "parsed", noted)
    shared.site.pages["/long"] = "<script>document.title = 'x'.repeat(5e6)</script>"
    found = shared.run({"url": shared.site.url("/long"), "html": False})
    assert found.result["title"] == "x" * 500
    assert set(titles) == {"x" * 1_000}


def test_a_page_that_breaks_its_own_functions_is_captured(shared: Bench) -> None:
    """A job succeeds on a page that replaces what the state is read from."""
    shared.site.pages["/broken"] = (
        "<title>Broken</title><p>x</p><script>Object.defineProperty(document, 'fonts', {value: null});"
        "performance.getEntriesByType = () => { throw 1 };"
        "Object.defineProperty(document.documentElement, 'scrollWidth', {get() { throw 2 }})</script>"
    )
    found = shared.run({"url": shared.site.url("/broken"), "screenshot": True, "full_page": True})
    assert (found.result["title"], found.result["status"]) == ("Broken", 200)


DEEP = "(() => { let deep = []; for (let level = 0; level < 990; level++) deep = [deep]; return deep })()"
"""An object that Chromium does not return, because it is nested too deeply."""


@pytest.mark.parametrize(
    "value", ["window", "new Proxy({}, {ownKeys() { throw 1 }})", "10n", "Symbol()", "({guid: []})", DEEP]
)
def test_a_page_whose_functions_return_its_objects_is_captured(shared: Bench, value: str) -> None:
    """Nothing is known of its state, and the job succeeds."""
    shared.site.pages["/objects"] = (
        f"<title>T</title><script>String.prototype.slice = Array.prototype.slice = () => {value}</script>"
    )
    found = shared.run({"url": shared.site.url("/objects"), "screenshot": True})
    assert found.result["title"] == ""
    assert {file.name for file in found.artifacts} == {"page.html", "screenshot.png"}


def test_every_character_of_a_script_is_in_its_ranges(shared: Bench) -> None:
    """The search that most pages end with overlooks no text that may be rendered as boxes."""
    overlooked = """ranges => {
        const characters = Array.from({length: 0x110000}, (_, point) => String.fromCodePoint(point))
        return Object.entries(ranges).flatMap(([script, range]) => {
            const property = script === 'emoji' ? 'Emoji_Presentation' : `Script=${script}`
            const member = new RegExp(`\\\\p{${property}}`, 'u'), found = new RegExp(`[${range}]`)
            const lost = characters.filter(character => member.test(character) && !found.test(character))
            return lost.map(character => `${script} ${character.codePointAt(0).toString(16)}`)
        })
    }"""

    async def evaluated() -> Any:
        context = await shared.running.browser.new_context()
        try:
            return await (await context.new_page()).evaluate(overlooked, RANGES)
        finally:
            await context.close()

    assert RANGES.keys() == SCRIPTS.keys()
    assert shared.do(evaluated()) == []
